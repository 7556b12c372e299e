#include "gateway/keys/key_access.h"

#include <algorithm>

namespace dormouse::gateway {

bool may_call(Scope scope, Access access) {
  switch (access) {
    case Access::kNone: return false;
    case Access::kOpen:
    case Access::kConsole: return true;
    case Access::kInference: return scope == Scope::kInference;
    case Access::kRead: return scope == Scope::kRead || scope == Scope::kAdmin;
    case Access::kAdmin: return scope == Scope::kAdmin;
    case Access::kSocket: return false;
  }
  return false;
}

bool may_call_in_session(Scope scope, Access access) {
  return access == Access::kInference ? scope == Scope::kAdmin : may_call(scope, access);
}

bool may_use(const CallerPtr& caller, std::string_view deployment) {
  if (caller == nullptr || caller->models.empty()) return true;
  return std::find(caller->models.begin(), caller->models.end(), deployment) != caller->models.end();
}

}  // namespace dormouse::gateway
