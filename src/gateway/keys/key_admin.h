// The part of the admin API that makes, changes and ends keys. A change is in the ledger, with its audit line, before
// it is answered; a revocation counts from then on and ends the key's running requests. Owner: the gateway. Threads:
// the loop's.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "gateway/keys/key_ring.h"
#include "gateway/limits/limiter.h"
#include "gateway/router.h"
#include "gateway/services.h"
#include "gateway/turns.h"

namespace dormouse::gateway {

class KeyAdmin {
 public:
  // `ring` and `limiter` are borrowed, as are the services. `on_revoked` is told the kids.
  KeyAdmin(Services services, KeyRing& ring, Limiter& limiter,
           std::function<void(const std::vector<std::string>&)> on_revoked);

  // POST GET /admin/v1/keys, GET PATCH DELETE /admin/v1/keys/{kid}, POST /admin/v1/keys/{kid}/rotate.
  void add_routes(Router& router);

 private:
  Task<void> create(Call& call);
  Task<void> list(Call& call) const;
  Task<void> show(Call& call) const;
  Task<void> change(Call& call);
  Task<void> rotate(Call& call);
  Task<void> revoke(Call& call);
  // Durable, then in the ring; else why not.
  Task<Status> commit(ledger::KeyWrite write);
  // Commits the draft and answers with the key, once.
  Task<void> issue(Call& call, Result<KeyDraft> draft);
  // What the limiter knows of its budget.
  void add_spent(KeyView& view) const;
  // Aliases and images become the deployment's name that they mean now.
  void name_models(KeyWish& wish) const;

  Services services_;
  KeyRing& ring_;
  Limiter& limiter_;
  std::function<void(const std::vector<std::string>&)> on_revoked_;
  Turns turns_;
};

}  // namespace dormouse::gateway
