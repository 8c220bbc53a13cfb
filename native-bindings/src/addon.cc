// The addon's table of contents. Loaded by the main thread and by every worker thread, each with its own Environment.
#include "binding.h"

namespace v2n {
namespace {

void DeleteEnvironment(napi_env, void* data, void*) {
  auto* environment = static_cast<Environment*>(data);
  CloseAll(environment);
  delete environment;
}

napi_status AddExports(napi_env env, napi_value exports, Environment* environment, const Export* table) {
  for (const Export* entry = table; entry->name != nullptr; ++entry) {
    napi_value function = nullptr;
    napi_status status =
        napi_create_function(env, entry->name, NAPI_AUTO_LENGTH, entry->callback, environment, &function);
    if (status == napi_ok) status = napi_set_named_property(env, exports, entry->name, function);
    if (status != napi_ok) return status;
  }
  return napi_ok;
}

}  // namespace
}  // namespace v2n

NAPI_MODULE_INIT() {
  auto* environment = new v2n::Environment;
  if (napi_set_instance_data(env, environment, v2n::DeleteEnvironment, nullptr) != napi_ok) {
    delete environment;
    return nullptr;
  }
  const v2n::Export* const families[] = {v2n::kTunExports, v2n::kUringExports,  v2n::kFrameExports,
                                         v2n::kBpfExports, v2n::kMemoryExports, v2n::kThreadExports};
  for (const v2n::Export* family : families)
    if (v2n::AddExports(env, exports, environment, family) != napi_ok) return nullptr;
  return exports;
}
