#include "gateway/driver_file.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <set>
#include <utility>

#include "catalog/config_file.h"
#include "catalog/toml.h"

namespace dormouse::gateway {
namespace {

using catalog::TomlTable;
using std::chrono::milliseconds;

// One table, read key by key; what was not read is unknown. The first error is kept.
class TableReader {
 public:
  TableReader(const TomlTable& table, std::string where) : table_(table), where_(std::move(where)) {}

  void text(const std::string& key, std::string& out) {
    used_.insert("text " + key);
    const auto found = table_.strings.find(key);
    if (found != table_.strings.end()) out = found->second;
  }
  void list(const std::string& key, std::vector<std::string>& out) {
    used_.insert("list " + key);
    const auto found = table_.lists.find(key);
    if (found != table_.lists.end()) out = found->second;
  }
  void duration(const std::string& key, milliseconds& out) {
    used_.insert("text " + key);
    const auto found = table_.strings.find(key);
    if (found == table_.strings.end()) return;
    const Result<milliseconds> value = catalog::parse_duration(found->second);
    if (!value.has_value()) return fail(key, value.error().message);
    if (value->count() == 0) return fail(key, "is over 0");
    out = *value;
  }
  void number(const std::string& key, int& out, int most) {
    used_.insert("number " + key);
    const auto found = table_.integers.find(key);
    if (found == table_.integers.end()) return;
    if (found->second < 0 || found->second > most) return fail(key, fmt::format("a number from 0 to {}", most));
    out = static_cast<int>(found->second);
  }
  const TomlTable* table(const std::string& key) {
    used_.insert("table " + key);
    const auto found = table_.tables.find(key);
    return found == table_.tables.end() ? nullptr : &found->second;
  }
  void fail(const std::string& key, const std::string& why) {
    if (status_.has_value()) status_ = make_error(Code::kInvalidArgument, fmt::format("{}.{}: {}", where_, key, why));
  }
  // After all reads: what was not asked for, or not as this kind of value, is a mistake.
  Status finish() {
    check(table_.strings, "text ");
    check(table_.integers, "number ");
    check(table_.lists, "list ");
    check(table_.tables, "table ");
    check(table_.table_lists, "tables ");
    check(table_.booleans, "truth ");
    check(table_.decimals, "decimal ");
    return status_;
  }

 private:
  template <typename Map>
  void check(const Map& map, const std::string& kind) {
    for (const auto& [key, value] : map) {
      if (!used_.contains(kind + key)) fail(key, "is unknown here or has the wrong type");
    }
  }
  const TomlTable& table_;
  std::string where_;
  std::set<std::string> used_;  // "KIND KEY"
  Status status_;
};

// What every kind has. `kind` itself has been read: here it only counts as known.
void read_common(TableReader& reader, fleet::ProviderOptions& options) {
  std::string kind;
  reader.text("kind", kind);
  reader.text("owner", options.owner);
  reader.text("worker", options.place.worker_path);
  reader.text("worker_listen", options.place.listen);
  reader.text("type", options.type);
  reader.list("fallback_types", options.fallback_types);
}

void read_life(TableReader& reader, fleet::RemoteOptions& life) {
  reader.duration("poll_interval", life.poll_interval);
  reader.duration("reconcile_interval", life.reconcile_interval);
  reader.duration("visible_after", life.visible_after);
  reader.duration("ready_within", life.start_timeout);
}

void read_template(TableReader& reader, const std::string& key, fleet::CommandTemplate& command) {
  constexpr int kMostRetries = 20;
  reader.list(key, command.argv);
  reader.duration(key + "_timeout", command.timeout);
  reader.number(key + "_retries", command.retries, kMostRetries);
}

void read_states(TableReader& reader, std::map<std::string, fleet::MachineState>& states) {
  const TomlTable* table = reader.table("states");
  if (table == nullptr) return;
  const std::map<std::string, fleet::MachineState> ours = {{"starting", fleet::MachineState::kStarting},
                                                           {"running", fleet::MachineState::kRunning},
                                                           {"stopped", fleet::MachineState::kStopped},
                                                           {"failed", fleet::MachineState::kFailed}};
  for (const auto& [word, meaning] : table->strings) {
    const auto found = ours.find(meaning);
    if (found == ours.end()) {
      return reader.fail("states", fmt::format("'{}' is none of starting, running, stopped, failed", meaning));
    }
    states[word] = found->second;
  }
  if (table->strings.empty()) reader.fail("states", "a table of WORD = \"running\" and the like");
}

Status read_command(const TomlTable& table, const std::string& where, fleet::RemoteDriverOptions& out,
                    fleet::CommandProviderOptions options, const DriverContext& context) {
  TableReader reader(table, where);
  std::vector<std::string> names;
  read_common(reader, options);
  read_template(reader, "start", options.start);
  read_template(reader, "stop", options.stop);
  read_template(reader, "list", options.list);
  read_template(reader, "status", options.status);
  reader.text("start_id", options.start_id);
  reader.list("start_refused", options.start_refused);
  reader.text("list_rows", options.list_rows);
  reader.text("list_expect", options.list_expect);
  reader.text("list_instance", options.list_instance);
  reader.text("list_id", options.list_id);
  reader.text("list_state", options.list_state);
  reader.text("list_address", options.list_address);
  reader.text("status_state", options.status_state);
  reader.text("status_address", options.status_address);
  reader.list("status_gone", options.status_gone);
  read_states(reader, options.states);
  reader.list("environment", names);
  read_life(reader, out.life);
  TRY_STATUS(reader.finish());
  options.environment = fleet::command_environment(context.environment, names);
  out.provider = std::move(options);
  return {};
}

Status read_slurm(const TomlTable& table, const std::string& where, fleet::RemoteDriverOptions& out,
                  fleet::SlurmProviderOptions options, const DriverContext& context) {
  TableReader reader(table, where);
  std::vector<std::string> names;
  read_common(reader, options);
  reader.text("sbatch", options.sbatch);
  reader.text("squeue", options.squeue);
  reader.text("scancel", options.scancel);
  reader.text("partition", options.partition);
  reader.text("gres", options.gres);
  reader.text("time_limit", options.time_limit);
  reader.text("output", options.output);
  reader.list("arguments", options.arguments);
  reader.list("environment", names);
  reader.duration("timeout", options.timeout);
  if (const TomlTable* types = reader.table("types")) {
    options.types = types->lists;
    if (types->lists.empty()) reader.fail("types", "a table of TYPE = [\"--gres=...\"]");
  }
  out.life.visible_after = std::chrono::seconds(10);  // one controller: only a submission still in flight is late
  read_life(reader, out.life);
  TRY_STATUS(reader.finish());
  names.emplace_back("SLURM_CONF");
  options.environment = fleet::command_environment(context.environment, names);
  out.provider = std::move(options);
  return {};
}

// What one table says of cpu, memory and so on; what it does not name stays.
void read_resources(TableReader& reader, fleet::KubernetesResources& out) {
  constexpr int kMostGpus = 1'000;
  reader.text("cpu", out.cpu);
  reader.text("memory", out.memory);
  reader.number("gpus", out.gpus, kMostGpus);
  reader.text("gpu_resource", out.gpu_resource);
  reader.list("node_selector", out.node_selector);
  reader.list("tolerations", out.tolerations);
}

Status read_pods(TableReader& reader, const std::string& where, fleet::KubernetesPods& pods) {
  constexpr int kMostUser = 2'000'000'000;
  reader.text("image", pods.image);
  reader.text("image_pull_policy", pods.image_pull_policy);
  reader.text("image_pull_secret", pods.image_pull_secret);
  reader.text("service_account", pods.service_account);
  reader.text("priority_class", pods.priority_class);
  reader.text("runtime_class", pods.runtime_class);
  reader.text("model_claim", pods.model_claim);
  reader.text("model_mount", pods.model_mount);
  reader.number("run_as_user", pods.run_as_user, kMostUser);
  milliseconds grace = std::chrono::seconds(pods.grace_seconds);
  reader.duration("grace", grace);
  pods.grace_seconds = static_cast<int>(std::chrono::ceil<std::chrono::seconds>(grace).count());
  read_resources(reader, pods.resources);
  const TomlTable* const types = reader.table("types");
  if (types == nullptr) return {};
  for (const auto& [type, table] : types->tables) {
    TableReader each(table, fmt::format("{}.types.{}", where, type));
    fleet::KubernetesResources resources = pods.resources;
    read_resources(each, resources);
    TRY_STATUS(each.finish());
    pods.types[type] = std::move(resources);
  }
  if (types->tables.empty()) reader.fail("types", "a table of TYPE = { gpus = 1 } and the like");
  return {};
}

Status read_kubernetes(const TomlTable& table, const std::string& where, fleet::RemoteDriverOptions& out,
                       fleet::KubernetesProviderOptions options, const DriverContext& context) {
  TableReader reader(table, where);
  options.place.listen = "0.0.0.0:8000";  // one Pod, one worker: a port that a NetworkPolicy can name
  read_common(reader, options);
  reader.text("control", options.place.control);
  reader.text("server", options.access.server);
  reader.text("ca_file", options.access.ca_file);
  reader.text("token_file", options.access.token_file);
  reader.duration("timeout", options.access.timeout);
  reader.text("namespace", options.name_space);
  reader.text("owned_by", options.owned_by);
  TRY_STATUS(read_pods(reader, where, options.pods));
  out.life.visible_after = std::chrono::seconds(10);  // one API server: only a call still in flight is late
  read_life(reader, out.life);
  TRY_STATUS(reader.finish());
  fleet::fill_in_cluster(options, context.environment);
  out.provider = std::move(options);
  return {};
}

template <typename Options>
Options begin(const std::string& name, const DriverContext& context) {
  Options out;
  out.name = name;
  out.owner = context.owner;
  if constexpr (requires { out.script_directory; }) out.script_directory = context.script_directory;
  out.place = context.place;
  return out;
}

}  // namespace

Result<std::map<std::string, fleet::RemoteDriverOptions>> read_drivers(std::string_view text, std::string_view what,
                                                                       const DriverContext& context) {
  TRY(const TomlTable root, catalog::parse_toml(text, what));
  std::map<std::string, fleet::RemoteDriverOptions> out;
  const auto drivers = root.tables.find("driver");
  if (drivers == root.tables.end()) return out;
  for (const auto& [name, table] : drivers->second.tables) {
    const std::string where = fmt::format("{}: driver.{}", what, name);
    if (!catalog::is_deployment_name(name) || name == "process") {
      return make_error(Code::kInvalidArgument, where + ": a name is of letters, digits, . _ - and not 'process'");
    }
    fleet::RemoteDriverOptions& driver = out[name];
    driver.life.io = context.io;
    driver.life.clock = context.clock;
    const std::string kind = table.string("kind");
    if (kind == "command") {
      auto options = begin<fleet::CommandProviderOptions>(name, context);
      TRY_STATUS(read_command(table, where, driver, std::move(options), context));
    } else if (kind == "slurm") {
      auto options = begin<fleet::SlurmProviderOptions>(name, context);
      TRY_STATUS(read_slurm(table, where, driver, std::move(options), context));
    } else if (kind == "kubernetes") {
      auto options = begin<fleet::KubernetesProviderOptions>(name, context);
      TRY_STATUS(read_kubernetes(table, where, driver, std::move(options), context));
    } else {
      return make_error(Code::kInvalidArgument,
                        fmt::format("{}.kind: '{}' is none of \"command\", \"slurm\", \"kubernetes\"", where, kind));
    }
  }
  return out;
}

Status check_drivers(std::string_view text, std::string_view what) {
  static constexpr const char* kNoEnvironment[] = {nullptr};
  DriverContext context;
  context.environment = kNoEnvironment;
  const auto read = read_drivers(text, what, context);
  return read.has_value() ? Status() : Status(Error(read.error()));
}

std::vector<std::string> drivers_unlike(std::string_view before, std::string_view now) {
  const auto tables_of = [](std::string_view text) {
    Result<TomlTable> root = catalog::parse_toml(text, "");
    return root.has_value() ? std::move(root->tables["driver"].tables) : std::map<std::string, TomlTable>();
  };
  const std::map<std::string, TomlTable> old_tables = tables_of(before);
  const std::map<std::string, TomlTable> new_tables = tables_of(now);
  std::set<std::string> out;
  for (const auto& [from, to] : {std::pair(&old_tables, &new_tables), std::pair(&new_tables, &old_tables)}) {
    for (const auto& [name, table] : *from) {
      const auto found = to->find(name);
      if (found == to->end() || !(found->second == table)) out.insert(name);
    }
  }
  return {out.begin(), out.end()};
}

}  // namespace dormouse::gateway
