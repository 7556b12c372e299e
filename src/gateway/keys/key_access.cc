#include "gateway/keys/key_access.h"

#include <algorithm>

namespace dormouse::gateway {

bool may_call(Scope scope, Access access) {
  switch (access) {
    case Access::kNone: return false;
    case Access::kOpen: return true;
    case Access::kInference: return scope == Scope::kInference;
    case Access::kRead: return scope == Scope::kRead || scope == Scope::kAdmin;
    case Access::kAdmin: return scope == Scope::kAdmin;
    case Access::kWorker: return false;
  }
  return false;
}

bool may_use(const CallerPtr& caller, std::string_view deployment) {
  if (caller == nullptr || caller->models.empty()) return true;
  return std::find(caller->models.begin(), caller->models.end(), deployment) != caller->models.end();
}

}  // namespace dormouse::gateway
