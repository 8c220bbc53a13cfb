#include "binding.h"

#include <cerrno>
#include <cmath>
#include <mutex>
#include <unordered_map>

#include <sys/mman.h>
#include <unistd.h>

namespace v2n {
namespace {

// The registries are shared by all threads and never destroyed: worker threads may still run while the process exits.
std::mutex& Lock() {
  static auto* lock = new std::mutex;
  return *lock;
}

std::unordered_map<int, const Environment*>& Owners() {
  static auto* owners = new std::unordered_map<int, const Environment*>;
  return *owners;
}

struct Mapping {
  void* at;
  std::size_t length;
  bool mapped;
};

std::unordered_map<void*, Mapping*>& Mappings() {
  static auto* mappings = new std::unordered_map<void*, Mapping*>;
  return *mappings;
}

// Unmaps once. The lock is held.
void Unmap(Mapping* mapping) {
  if (!mapping->mapped) return;
  mapping->mapped = false;
  Mappings().erase(mapping->at);
  munmap(mapping->at, mapping->length);
}

void FinalizeMapping(napi_env, void*, void* hint) {
  auto* mapping = static_cast<Mapping*>(hint);
  {
    std::lock_guard<std::mutex> guard(Lock());
    Unmap(mapping);
  }
  delete mapping;
}

}  // namespace

void Descriptor::Reset(int fd) {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

Call::Call(napi_env env, napi_callback_info info) : env_(env) {
  void* data = nullptr;
  napi_get_cb_info(env, info, &count_, arguments_, nullptr, &data);
  environment_ = static_cast<Environment*>(data);
}

// Node would make 0 of NaN and cut off fractions and upper bits; as a descriptor that would be somebody else's.
double Call::Whole(std::size_t index, double lowest, double highest) {
  double value = 0;
  if (napi_get_value_double(env_, arguments_[index], &value) == napi_ok && value >= lowest && value <= highest &&
      value == std::trunc(value))
    return value;
  ok_ = false;
  return 0;
}

int32_t Call::Int(std::size_t index) { return static_cast<int32_t>(Whole(index, INT32_MIN, INT32_MAX)); }

uint32_t Call::Unsigned(std::size_t index) { return static_cast<uint32_t>(Whole(index, 0, UINT32_MAX)); }

int64_t Call::Long(std::size_t index) { return static_cast<int64_t>(Whole(index, -0x1p53, 0x1p53)); }

std::string Call::Text(std::size_t index) {
  std::size_t length = 0;
  if (napi_get_value_string_utf8(env_, arguments_[index], nullptr, 0, &length) != napi_ok) {
    ok_ = false;
    return {};
  }
  std::string text(length + 1, '\0');
  if (napi_get_value_string_utf8(env_, arguments_[index], text.data(), length + 1, &length) != napi_ok) ok_ = false;
  text.resize(length);
  return text;
}

uint8_t* Call::Bytes(std::size_t index, std::size_t* length) {
  *length = 0;
  void* data = nullptr;
  bool is = false;
  if (napi_is_arraybuffer(env_, arguments_[index], &is) == napi_ok && is) {
    if (napi_get_arraybuffer_info(env_, arguments_[index], &data, length) != napi_ok) ok_ = false;
    return static_cast<uint8_t*>(data);
  }
  napi_typedarray_type type;
  std::size_t elements = 0;
  if (napi_is_typedarray(env_, arguments_[index], &is) != napi_ok || !is ||
      napi_get_typedarray_info(env_, arguments_[index], &type, &elements, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array) {
    ok_ = false;
    return nullptr;
  }
  *length = elements;
  return static_cast<uint8_t*>(data);
}

int32_t* Call::Words(std::size_t index, std::size_t* length) {
  *length = 0;
  napi_typedarray_type type;
  void* data = nullptr;
  bool is = false;
  if (napi_is_typedarray(env_, arguments_[index], &is) != napi_ok || !is ||
      napi_get_typedarray_info(env_, arguments_[index], &type, length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_int32_array) {
    ok_ = false;
    *length = 0;
    return nullptr;
  }
  return static_cast<int32_t*>(data);
}

int Call::Failed(const char* call) const { return Failed(call, errno); }

int Call::Failed(const char* call, int error) const {
  environment_->failed_call = call;
  return error > 0 ? -error : -EINVAL;
}

int Call::Mistyped() const { return Failed("arguments", EINVAL); }

napi_value Call::Number(double value) const {
  napi_value result = nullptr;
  napi_create_double(env_, value, &result);
  return result;
}

int Own(const Call& call, Descriptor* descriptor) {
  const int fd = descriptor->Release();
  std::lock_guard<std::mutex> guard(Lock());
  Owners()[fd] = &call.environment();
  return fd;
}

int CloseOwned(int fd) {
  std::lock_guard<std::mutex> guard(Lock());
  Owners().erase(fd);
  // Linux frees the number even where close reports an error, so there is no second try.
  return close(fd) == 0 ? 0 : -errno;
}

void CloseAll(const Environment* environment) {
  std::lock_guard<std::mutex> guard(Lock());
  auto& owners = Owners();
  for (auto it = owners.begin(); it != owners.end();) {
    if (it->second == environment) {
      close(it->first);
      it = owners.erase(it);
    } else {
      ++it;
    }
  }
}

napi_value ExposeMapping(const Call& call, void* at, std::size_t length) {
  auto* mapping = new Mapping{at, length, true};
  {
    std::lock_guard<std::mutex> guard(Lock());
    Mappings()[at] = mapping;
  }
  napi_value buffer = nullptr;
  if (napi_create_external_arraybuffer(call.env(), at, length, FinalizeMapping, mapping, &buffer) != napi_ok) {
    FinalizeMapping(call.env(), at, mapping);
    return call.Number(call.Failed("napi_create_external_arraybuffer", ENOMEM));
  }
  return buffer;
}

int ReleaseMapping(const Call& call, napi_value buffer) {
  void* data = nullptr;
  std::size_t length = 0;
  bool is = false;
  if (napi_is_arraybuffer(call.env(), buffer, &is) != napi_ok || !is ||
      napi_get_arraybuffer_info(call.env(), buffer, &data, &length) != napi_ok)
    return call.Mistyped();
  Mapping* mapping = nullptr;
  {
    std::lock_guard<std::mutex> guard(Lock());
    auto found = Mappings().find(data);
    if (found == Mappings().end() || found->second->length != length) return call.Failed("munmap", EINVAL);
    mapping = found->second;
  }
  // The script loses sight of the memory before it goes. The finalizer may run within this call, so the mapping is
  // looked up again.
  if (napi_detach_arraybuffer(call.env(), buffer) != napi_ok) return call.Failed("napi_detach_arraybuffer", EBUSY);
  std::lock_guard<std::mutex> guard(Lock());
  auto found = Mappings().find(data);
  if (found != Mappings().end() && found->second == mapping) Unmap(mapping);
  return 0;
}

}  // namespace v2n
