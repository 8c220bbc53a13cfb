// io_uring: set-up, registration and the one call of every turn. The rings themselves are read and written by TypeScript.
#include <cerrno>
#include <cstring>
#include <vector>

#include <linux/io_uring.h>
#include <linux/time_types.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "binding.h"

namespace v2n {
namespace {

int Register(int fd, unsigned operation, const void* argument, unsigned count) {
  return static_cast<int>(syscall(__NR_io_uring_register, fd, operation, argument, count));
}

// uringSetup(entries, completionEntries, flags, parameters): descriptor
// `parameters` is an Int32Array of 30 words that receives struct io_uring_params.
int UringSetup(Call& call) {
  const unsigned entries = call.Unsigned(0);
  const unsigned completion_entries = call.Unsigned(1);
  const unsigned flags = call.Unsigned(2);
  std::size_t words = 0;
  int32_t* out = call.Words(3, &words);
  if (!call.ok() || words * sizeof(int32_t) < sizeof(io_uring_params)) return call.Mistyped();
  io_uring_params parameters;
  std::memset(&parameters, 0, sizeof parameters);
  parameters.flags = flags;
  parameters.cq_entries = completion_entries;
  Descriptor ring(static_cast<int>(syscall(__NR_io_uring_setup, entries, &parameters)));
  if (!ring.valid()) return call.Failed("io_uring_setup");
  std::memcpy(out, &parameters, sizeof parameters);
  return Own(call, &ring);
}

// uringMap(descriptor, offset, bytes): ArrayBuffer or negative errno
napi_value UringMap(Call& call) {
  const int fd = call.Int(0);
  const int64_t offset = call.Long(1);
  const int64_t bytes = call.Long(2);
  if (!call.ok() || bytes <= 0) return call.Number(call.Mistyped());
  void* at = mmap(nullptr, static_cast<std::size_t>(bytes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
                  static_cast<off_t>(offset));
  if (at == MAP_FAILED) return call.Number(call.Failed("mmap of a ring"));
  return ExposeMapping(call, at, static_cast<std::size_t>(bytes));
}

// uringRegisterBuffer(descriptor, memory): 0. The kernel takes up to 1 GiB.
int UringRegisterBuffer(Call& call) {
  const int fd = call.Int(0);
  std::size_t length = 0;
  uint8_t* memory = call.Bytes(1, &length);
  if (!call.ok()) return call.Mistyped();
  const iovec piece = {memory, length};
  if (Register(fd, IORING_REGISTER_BUFFERS, &piece, 1) < 0) return call.Failed("io_uring_register of buffers");
  return 0;
}

// uringRegisterFiles(descriptor, count): 0. The table is empty; `uringUpdateFile` fills it.
int UringRegisterFiles(Call& call) {
  const int fd = call.Int(0);
  const unsigned count = call.Unsigned(1);
  if (!call.ok()) return call.Mistyped();
  const std::vector<int32_t> none(count, -1);
  if (Register(fd, IORING_REGISTER_FILES, none.data(), count) < 0) return call.Failed("io_uring_register of files");
  return 0;
}

// uringUpdateFile(descriptor, index, file): 0. A file of -1 empties the place.
int UringUpdateFile(Call& call) {
  const int fd = call.Int(0);
  const unsigned index = call.Unsigned(1);
  int32_t file = call.Int(2);
  if (!call.ok()) return call.Mistyped();
  io_uring_files_update update;
  std::memset(&update, 0, sizeof update);
  update.offset = index;
  update.fds = reinterpret_cast<uintptr_t>(&file);
  if (Register(fd, IORING_REGISTER_FILES_UPDATE, &update, 1) < 0)
    return call.Failed("io_uring_register of a file");
  return 0;
}

// uringEnter(descriptor, toSubmit, minComplete, flags, timeoutNanoseconds): entries submitted
// A negative time-out waits without end. This is the call of every turn, so it reads its arguments and nothing else.
napi_value UringEnter(napi_env env, napi_callback_info info) {
  napi_value arguments[5];
  std::size_t count = 5;
  int32_t fd = -1, to_submit = 0, min_complete = 0, flags = 0;
  int64_t timeout = -1;
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  napi_get_value_int32(env, arguments[0], &fd);
  napi_get_value_int32(env, arguments[1], &to_submit);
  napi_get_value_int32(env, arguments[2], &min_complete);
  napi_get_value_int32(env, arguments[3], &flags);

  const void* argument = nullptr;
  std::size_t argument_size = 0;
  io_uring_getevents_arg extended;
  __kernel_timespec time;
  if (min_complete > 0 && napi_get_value_int64(env, arguments[4], &timeout) == napi_ok && timeout >= 0) {
    std::memset(&extended, 0, sizeof extended);
    time.tv_sec = timeout / 1000000000;
    time.tv_nsec = timeout % 1000000000;
    extended.ts = reinterpret_cast<uintptr_t>(&time);
    argument = &extended;
    argument_size = sizeof extended;
    flags |= IORING_ENTER_EXT_ARG;
  }
  const long submitted = syscall(__NR_io_uring_enter, fd, to_submit, min_complete, flags, argument, argument_size);
  napi_value result = nullptr;
  napi_create_int32(env, static_cast<int32_t>(submitted < 0 ? -errno : submitted), &result);
  return result;
}

}  // namespace

const Export kUringExports[] = {
    {"uringSetup", Answer<UringSetup>},
    {"uringMap", AnswerValue<UringMap>},
    {"uringRegisterBuffer", Answer<UringRegisterBuffer>},
    {"uringRegisterFiles", Answer<UringRegisterFiles>},
    {"uringUpdateFile", Answer<UringUpdateFile>},
    {"uringEnter", UringEnter},
    {nullptr, nullptr},
};

}  // namespace v2n
