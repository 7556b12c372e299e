// What the handlers work with; all of it outlives every request.
#pragma once

#include "base/clock.h"
#include "fleet/supervisor.h"
#include "gateway/deployments.h"
#include "gateway/metrics.h"
#include "http/client.h"
#include "ledger/ledger.h"

namespace dormouse::gateway {

struct Services {
  asio::io_context& io;
  const Clock& clock;
  fleet::Supervisor& fleet;
  ledger::Ledger& ledger;
  http::Client& client;
  Metrics& metrics;
  const Deployments& deployments;
};

}  // namespace dormouse::gateway
