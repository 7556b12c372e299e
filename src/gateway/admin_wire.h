// What the admin API says of deployments (of reports: admin/report_wire.h), as values, written and read here: server
// and CLI share one definition. No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "catalog/deployment_rules.h"
#include "fleet/supervisor.h"
#include "gateway/alerts/alert_test_row.h"
#include "gateway/deployments.h"
#include "gateway/last_minute.h"
#include "gateway/overview/deployment_figures.h"
#include "gateway/pulls/pull_view.h"
#include "gateway/speed_note.h"
#include "gateway/vitals.h"
#include "ledger/records.h"

namespace dormouse::gateway {

struct InstanceView {
  std::string instance_id;
  std::string state;
  std::int64_t pid = 0;
  std::string isa;
  double alive_s = 0;
  std::int64_t context_length = 0;
  std::int64_t generated_tokens = 0;
  std::int64_t running = 0;
  std::string because;  // why it was started
  std::string note;     // its driver's last word: why a start takes long, why an end is not confirmed
  bool reachable = true;
  double wake_provider_s = 0;  // where its wake's time went
  double wake_boot_s = 0;
  double wake_load_s = 0;
  std::optional<double> cpu_cores = std::nullopt;  // these two: of an instance on this machine, once sampled
  std::optional<std::int64_t> resident_bytes = std::nullopt;
};

struct DeploymentView {
  std::string name;
  std::string image;
  std::string model_path;
  std::string source;              // "file" | "api" | "demo"
  std::string defined_by;          // as Deployment::defined_by
  catalog::DeploymentRules rules;  // each key a member of its own
  std::string state;               // as fleet::DeploymentStatus::state
  std::string awake_because;
  double in_state_s = 0;
  std::int64_t since_ms = 0;  // wall, milliseconds since 1970: when that began
  double load_fraction = 0;
  std::int64_t running = 0;
  std::int64_t waiting = 0;
  double load = 0;  // in instances' worth of work
  double idle_timeout_s = 0;
  std::optional<double> idle_left_s;
  std::optional<double> backoff_left_s;
  std::string failure;
  std::int64_t wakes = 0;
  SpeedView speed;
  std::optional<double> tokens_per_second;   // of all its instances, now; nullopt: nobody watches them
  LastMinute::Work last_minute;              // whoever watches
  std::optional<DeploymentFigures> figures;  // nullopt: the ledger has not answered yet
  std::vector<InstanceView> instances;
};

struct StatusView {
  std::string version;
  std::int64_t pid = 0;
  double uptime_s = 0;
  std::int64_t now_ms = 0;  // wall, as since_ms
  std::string time_zone;    // where its days and months begin
  bool draining = false;
  std::int64_t resident_bytes = 0;
  std::vector<std::string> listen;
  std::vector<std::string> urls;     // of the same, as a client on this machine asks there
  std::vector<std::string> notices;  // what an operator should look at: a configuration file that cannot be used
  Vitals machine;                    // its instances stand with their deployments
  std::vector<DeploymentView> deployments;
  std::vector<PullView> pulls;  // written, not read: for whoever watches
};

struct NewDeployment {
  std::string name;   // empty: made from the image
  std::string image;  // a name of the gallery or a path the server can read
  catalog::DeploymentRules rules;
};

struct DeploymentChange {
  std::string image;  // empty: as it is
  std::vector<std::pair<std::string, catalog::FieldValue>> rules;
};

// Why it is in its state, for a page that says it in its reader's language.
struct StateReason {
  // Awake: as awake_because. Failed: out_of_memory, model_invalid, hung, crashed, load_failed, load_deadline,
  // lease_expired, golden_mismatch, ... as the fleet names it, or start_failed. Held back: waits_for_memory. Empty:
  // none.
  std::string code;
  std::string detail;  // what more is known, in English; may be empty
};
[[nodiscard]] bool is_failed(const DeploymentView& deployment);  // for good, or until it is tried again
[[nodiscard]] StateReason reason_of(const DeploymentView& deployment);

[[nodiscard]] DeploymentView view_of(const Deployment& deployment, const fleet::DeploymentStatus* status);

[[nodiscard]] std::string to_json(const StatusView& status);
[[nodiscard]] std::string to_json(const DeploymentView& deployment);
[[nodiscard]] std::string to_json(const NewDeployment& deployment);
[[nodiscard]] std::string to_json(const DeploymentChange& change);
[[nodiscard]] std::string to_json(const std::vector<AlertTestRow>& rows);

// Errors: kDataLoss (not what the server writes).
[[nodiscard]] Result<StatusView> parse_status(std::string_view json);
[[nodiscard]] Result<DeploymentView> parse_deployment(std::string_view json);
[[nodiscard]] Result<std::vector<AlertTestRow>> parse_alert_test(std::string_view json);
// A client's words. Errors: kInvalidArgument, "KEY: ..."; an unknown key is one.
[[nodiscard]] Result<NewDeployment> parse_new_deployment(std::string_view json);
[[nodiscard]] Result<DeploymentChange> parse_deployment_change(std::string_view json);

}  // namespace dormouse::gateway
