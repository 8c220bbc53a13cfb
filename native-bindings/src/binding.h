// What every verb of the addon shares: reading arguments, owning descriptors and mappings, saying what failed.
//
// The rules of the addon. A verb makes system calls or maps memory; it never looks into a packet. It answers what the system
// call said: a number, zero or more, or the negative errno; it never throws and no exception crosses into Node. The name of
// the call that failed is kept per environment (`lastCall`), since some verbs make several. The addon may be loaded by the
// main thread and by any number of worker threads at once; what outlives a call is in Environment (one per thread that
// loaded the addon) or behind a lock.
#pragma once

#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace v2n {

constexpr std::size_t kMaxArguments = 8;

// What belongs to one thread that loaded the addon.
struct Environment {
  const char* failed_call = "";
};

// A descriptor that closes itself unless released.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { Reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  // Closes what it holds and takes another.
  void Reset(int fd = -1);

 private:
  int fd_;
};

// The arguments of one call. A missing or mistyped argument makes `ok()` false; the verb then answers -EINVAL.
class Call {
 public:
  Call(napi_env env, napi_callback_info info);

  napi_env env() const { return env_; }
  Environment& environment() const { return *environment_; }
  bool ok() const { return ok_; }

  // Numbers have to be whole and within the type; up to 2^53 for `Long`, such as sizes.
  int32_t Int(std::size_t index);
  uint32_t Unsigned(std::size_t index);
  int64_t Long(std::size_t index);
  std::string Text(std::size_t index);
  napi_value Raw(std::size_t index) const { return arguments_[index]; }

  // The memory of a typed array or ArrayBuffer; its length in bytes goes to `length`. Valid during this call only.
  uint8_t* Bytes(std::size_t index, std::size_t* length);
  // The memory of an Int32Array; its length in elements goes to `length`.
  int32_t* Words(std::size_t index, std::size_t* length);

  // Remembers which system call failed and gives its negative errno, taken from `errno` unless given.
  int Failed(const char* call) const;
  int Failed(const char* call, int error) const;
  // The answer to arguments of the wrong number or type.
  int Mistyped() const;

  napi_value Number(double value) const;

 private:
  double Whole(std::size_t index, double lowest, double highest);

  napi_env env_;
  Environment* environment_ = nullptr;
  napi_value arguments_[kMaxArguments];
  std::size_t count_ = kMaxArguments;
  bool ok_ = true;
};

// A descriptor that a script holds as a number is remembered with the thread that opened it, and closed when that thread
// ends without having closed it. Any thread may close it.
int Own(const Call& call, Descriptor* descriptor);
// Closes a descriptor, whoever opened it. A negative errno when it is not open.
int CloseOwned(int fd);
// Closes all that a thread opened and did not close.
void CloseAll(const Environment* environment);

// Makes an ArrayBuffer over a mapping, which is unmapped by `ReleaseMapping` or when the ArrayBuffer is collected.
// Answers a number, the negative errno, where that fails; the mapping is undone then.
napi_value ExposeMapping(const Call& call, void* at, std::size_t length);
// Detaches the ArrayBuffer and unmaps its memory now. -EINVAL for an ArrayBuffer that is not a mapping.
int ReleaseMapping(const Call& call, napi_value buffer);

using Verb = int (*)(Call& call);
using ValueVerb = napi_value (*)(Call& call);

// One name that the addon exports.
struct Export {
  const char* name;
  napi_callback callback;
};

// Turns a verb that answers a number into what Node calls.
template <Verb verb>
napi_value Answer(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return call.Number(verb(call));
}

template <ValueVerb verb>
napi_value AnswerValue(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return verb(call);
}

// The exports of each verb family, ended by an entry without a name.
extern const Export kTunExports[];
extern const Export kUringExports[];
extern const Export kFrameExports[];
extern const Export kBpfExports[];
extern const Export kMemoryExports[];
extern const Export kThreadExports[];

}  // namespace v2n
