// eBPF: an array map that user space maps, and a socket filter given as finished instructions.
#include <cerrno>
#include <cstring>

#include <linux/bpf.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "binding.h"

namespace v2n {
namespace {

int Bpf(int command, bpf_attr* attributes) {
  return static_cast<int>(syscall(__NR_bpf, command, attributes, sizeof *attributes));
}

// bpfArrayMap(valueBytes): descriptor of a map with one value, which `bpfMapValue` maps
int BpfArrayMap(Call& call) {
  const unsigned bytes = call.Unsigned(0);
  if (!call.ok()) return call.Mistyped();
  bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  attributes.map_type = BPF_MAP_TYPE_ARRAY;
  attributes.key_size = sizeof(uint32_t);
  attributes.value_size = bytes;
  attributes.max_entries = 1;
  attributes.map_flags = BPF_F_MMAPABLE;
  std::memcpy(attributes.map_name, "v2n_owners", 11);
  Descriptor map(Bpf(BPF_MAP_CREATE, &attributes));
  if (!map.valid()) return call.Failed("bpf BPF_MAP_CREATE");
  return Own(call, &map);
}

// bpfMapValue(descriptor, bytes): ArrayBuffer or negative errno
napi_value BpfMapValue(Call& call) {
  const int fd = call.Int(0);
  const int64_t bytes = call.Long(1);
  if (!call.ok() || bytes <= 0) return call.Number(call.Mistyped());
  void* at = mmap(nullptr, static_cast<std::size_t>(bytes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return call.Number(call.Failed("mmap of a BPF map"));
  return ExposeMapping(call, at, static_cast<std::size_t>(bytes));
}

// bpfSocketFilter(instructions, log): descriptor. `log` (a Uint8Array, may be empty) receives the verifier's words,
// ended by a zero byte.
int BpfSocketFilter(Call& call) {
  std::size_t length = 0, log_length = 0;
  const uint8_t* instructions = call.Bytes(0, &length);
  uint8_t* log = call.Bytes(1, &log_length);
  if (!call.ok() || length % sizeof(bpf_insn) != 0) return call.Mistyped();
  static const char license[] = "Apache-2.0";
  bpf_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attributes.insns = reinterpret_cast<uintptr_t>(instructions);
  attributes.insn_cnt = static_cast<uint32_t>(length / sizeof(bpf_insn));
  attributes.license = reinterpret_cast<uintptr_t>(license);
  if (log_length > 0) {
    attributes.log_buf = reinterpret_cast<uintptr_t>(log);
    attributes.log_size = static_cast<uint32_t>(log_length);
    attributes.log_level = 1;
  }
  std::memcpy(attributes.prog_name, "v2n_steer", 10);
  Descriptor program(Bpf(BPF_PROG_LOAD, &attributes));
  if (!program.valid()) return call.Failed("bpf BPF_PROG_LOAD");
  return Own(call, &program);
}

}  // namespace

const Export kBpfExports[] = {
    {"bpfArrayMap", Answer<BpfArrayMap>},
    {"bpfMapValue", AnswerValue<BpfMapValue>},
    {"bpfSocketFilter", Answer<BpfSocketFilter>},
    {nullptr, nullptr},
};

}  // namespace v2n
