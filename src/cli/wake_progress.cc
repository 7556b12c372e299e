#include "cli/wake_progress.h"

#include <fmt/format.h>

#include "cli/admin_client.h"
#include "cli/wait_line.h"
#include "gateway/admin_wire.h"

namespace dormouse::cli {
namespace {

constexpr std::chrono::milliseconds kLookDeadline{1'000};

// "demo: waking 40 %"; the name alone where the server does not say.
std::string state_of(const Context& context, AdminClient& client, const std::string& name) {
  const Result<std::string> body = client.get_within("/admin/v1/deployments/" + name, kLookDeadline);
  const Result<gateway::DeploymentView> d = body.has_value() ? gateway::parse_deployment(*body) : Error(body.error());
  if (!d.has_value()) return name;
  std::string out = fmt::format("{}: {}", name, state_word(d->state, context.language));
  if (d->state == "loading") out += fmt::format(" {:.0f} %", d->load_fraction * 100);
  return out;
}

}  // namespace

Result<std::string> post_and_wait(const Context& context, const std::string& deployment, const std::string& act) {
  AdminClient client(context.admin_socket());
  AdminClient looking(context.admin_socket());
  WaitLine line(context);
  return client.post_waiting(fmt::format("/admin/v1/deployments/{}/{}", deployment, act),
                             [&](double seconds) { line.show(state_of(context, looking, deployment), seconds); });
}

}  // namespace dormouse::cli
