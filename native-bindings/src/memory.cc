// Memory that a script sees as an ArrayBuffer: files mapped shared, and anonymous memory; and locks of files.
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "binding.h"

namespace v2n {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Huge pages are a wish: where the kernel has none to give, small ones serve.
void WishHugePages(void* at, std::size_t length) { madvise(at, length, MADV_HUGEPAGE); }

// mapFile(path, bytes, create, readOnly, hugePages): ArrayBuffer or negative errno
// With `create` the file is made where it is missing (mode 0600) and grown to `bytes` where it is shorter; it is never
// cut. Without, it must have at least `bytes`; 0 bytes means all there are.
napi_value MapFile(Call& call) {
  const std::string path = call.Text(0);
  int64_t bytes = call.Long(1);
  const bool create = call.Int(2) != 0;
  const bool read_only = call.Int(3) != 0;
  const bool huge = call.Int(4) != 0;
  if (!call.ok() || bytes < 0 || (create && (read_only || bytes == 0))) return call.Number(call.Mistyped());
  Descriptor file(open(path.c_str(), (read_only ? O_RDONLY : O_RDWR) | (create ? O_CREAT : 0) | O_CLOEXEC | O_NOFOLLOW,
                       0600));
  if (!file.valid()) return call.Number(call.Failed("open"));
  struct stat status;
  if (fstat(file.get(), &status) != 0) return call.Number(call.Failed("fstat"));
  if (!S_ISREG(status.st_mode)) return call.Number(call.Failed("mmap", ENODEV));
  if (bytes == 0) bytes = status.st_size;
  // Reading past the end of a mapped file kills the process, so a file that is too short is refused here.
  if (status.st_size < bytes) {
    if (!create) return call.Number(call.Failed("fstat", ENODATA));
    if (ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) return call.Number(call.Failed("ftruncate"));
  }
  if (bytes == 0) return call.Number(call.Failed("mmap", ENODATA));
  void* at = mmap(nullptr, static_cast<std::size_t>(bytes), PROT_READ | (read_only ? 0 : PROT_WRITE), MAP_SHARED,
                  file.get(), 0);
  if (at == MAP_FAILED) return call.Number(call.Failed("mmap"));
  if (huge) WishHugePages(at, static_cast<std::size_t>(bytes));
  return ExposeMapping(call, at, static_cast<std::size_t>(bytes));
}

// mapMemory(bytes, hugePages): ArrayBuffer or negative errno. Zeroed, private; begins at a huge page's edge where wished.
napi_value MapMemory(Call& call) {
  const int64_t wanted = call.Long(0);
  const bool huge = call.Int(1) != 0;
  if (!call.ok() || wanted <= 0) return call.Number(call.Mistyped());
  const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t bytes = (static_cast<std::size_t>(wanted) + page - 1) / page * page;
  const std::size_t extra = huge ? kHugePage : 0;
  void* mapped =
      mmap(nullptr, bytes + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return call.Number(call.Failed("mmap"));
  auto* at = static_cast<uint8_t*>(mapped);
  if (huge) {
    const std::size_t before = (kHugePage - reinterpret_cast<uintptr_t>(at) % kHugePage) % kHugePage;
    if (before > 0) munmap(at, before);
    if (extra > before) munmap(at + before + bytes, extra - before);
    at += before;
    WishHugePages(at, bytes);
  }
  return ExposeMapping(call, at, bytes);
}

// mappingAddress(buffer): where it begins in the process's address space
napi_value MappingAddress(Call& call) {
  std::size_t length = 0;
  const uint8_t* at = call.Bytes(0, &length);
  if (!call.ok()) return call.Number(call.Mistyped());
  return call.Number(static_cast<double>(reinterpret_cast<uintptr_t>(at)));
}

// mappingRelease(buffer): 0
int MappingRelease(Call& call) { return ReleaseMapping(call, call.Raw(0)); }

// lockFile(path): descriptor that holds the lock. -EWOULDBLOCK where another holds it.
int LockFile(Call& call) {
  const std::string path = call.Text(0);
  if (!call.ok()) return call.Mistyped();
  Descriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.valid()) return call.Failed("open");
  if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) return call.Failed("flock");
  return Own(call, &file);
}

}  // namespace

const Export kMemoryExports[] = {
    {"mapFile", AnswerValue<MapFile>},
    {"mapMemory", AnswerValue<MapMemory>},
    {"mappingAddress", AnswerValue<MappingAddress>},
    {"mappingRelease", Answer<MappingRelease>},
    {"lockFile", Answer<LockFile>},
    {nullptr, nullptr},
};

}  // namespace v2n
