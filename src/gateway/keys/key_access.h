// What a key may do, in two questions. Pure. Threads: any.
#pragma once

#include <string_view>

#include "gateway/call.h"
#include "gateway/caller.h"

namespace dormouse::gateway {

// May a key of this scope call a route of this access? Each scope is for itself: an admin key gets no answers of
// models, an inference key sees nobody's usage. No key opens what is the worker's, or what nobody gave an access.
[[nodiscard]] bool may_call(Scope scope, Access access);

// May who logged in at the console with such a key? As above, and an administrator may also try a model there: such a
// key can make itself one for that at any time.
[[nodiscard]] bool may_call_in_session(Scope scope, Access access);

// May this caller use this deployment? Nobody (null) may all.
[[nodiscard]] bool may_use(const CallerPtr& caller, std::string_view deployment);

}  // namespace dormouse::gateway
