// Threads: waking one, pinning the calling one, knowing its number; closing descriptors; and errno in words.
#include <cerrno>
#include <cstring>

#include <features.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "binding.h"

namespace v2n {
namespace {

// eventCreate(): descriptor, non-blocking
int EventCreate(Call& call) {
  Descriptor event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event.valid()) return call.Failed("eventfd");
  return Own(call, &event);
}

// eventSignal(descriptor): 0. A counter that is full is signalled already.
int EventSignal(Call& call) {
  const int fd = call.Int(0);
  if (!call.ok()) return call.Mistyped();
  const uint64_t one = 1;
  if (write(fd, &one, sizeof one) < 0 && errno != EAGAIN) return call.Failed("write");
  return 0;
}

// eventClear(descriptor): 1 where it was signalled, else 0
int EventClear(Call& call) {
  const int fd = call.Int(0);
  if (!call.ok()) return call.Mistyped();
  uint64_t count = 0;
  if (read(fd, &count, sizeof count) < 0) return errno == EAGAIN ? 0 : call.Failed("read");
  return 1;
}

// threadPin(cpu): 0. The calling thread runs there alone from now on.
int ThreadPin(Call& call) {
  const unsigned cpu = call.Unsigned(0);
  if (!call.ok() || cpu >= CPU_SETSIZE) return call.Mistyped();
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) return call.Failed("sched_setaffinity");
  return 0;
}

// threadAffinity(cpus): how many CPUs the calling thread may use; their numbers go to the Int32Array
int ThreadAffinity(Call& call) {
  std::size_t room = 0;
  int32_t* cpus = call.Words(0, &room);
  if (!call.ok()) return call.Mistyped();
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return call.Failed("sched_getaffinity");
  std::size_t count = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE && count < room; ++cpu)
    if (CPU_ISSET(cpu, &set)) cpus[count++] = cpu;
  return static_cast<int>(count);
}

// threadId(): the number of the calling thread
int ThreadId(Call&) { return static_cast<int>(syscall(__NR_gettid)); }

// close(descriptor): 0
int Close(Call& call) {
  const int fd = call.Int(0);
  if (!call.ok()) return call.Mistyped();
  const int result = CloseOwned(fd);
  return result == 0 ? 0 : call.Failed("close", -result);
}

napi_value Text(const Call& call, const char* text) {
  napi_value result = nullptr;
  napi_create_string_utf8(call.env(), text, NAPI_AUTO_LENGTH, &result);
  return result;
}

// lastCall(): the system call that failed last in this thread
napi_value LastCall(Call& call) { return Text(call, call.environment().failed_call); }

// errorWords(errno): "Device or resource busy"
napi_value ErrorWords(Call& call) {
  const int error = call.Int(0);
  return Text(call, std::strerror(error));
}

// errorCode(errno): "EBUSY", or "" where the C library has no name for it
napi_value ErrorCode(Call& call) {
  const int error = call.Int(0);
  const char* code = nullptr;
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 32)
  code = strerrorname_np(error);
#else
  (void)error;
#endif
  return Text(call, code == nullptr ? "" : code);
}

}  // namespace

const Export kThreadExports[] = {
    {"eventCreate", Answer<EventCreate>},
    {"eventSignal", Answer<EventSignal>},
    {"eventClear", Answer<EventClear>},
    {"threadPin", Answer<ThreadPin>},
    {"threadAffinity", Answer<ThreadAffinity>},
    {"threadId", Answer<ThreadId>},
    {"close", Answer<Close>},
    {"lastCall", AnswerValue<LastCall>},
    {"errorWords", AnswerValue<ErrorWords>},
    {"errorCode", AnswerValue<ErrorCode>},
    {nullptr, nullptr},
};

}  // namespace v2n
