#include "fleet/drivers/slurm_provider.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "fleet/command_run.h"
#include "fleet/drivers/command_provider.h"
#include "fleet/drivers/secret_file.h"

namespace dormouse::fleet {
namespace {

constexpr std::string_view kNamePrefix = "dormouse-";
constexpr std::string_view kCommentPrefix = "dormouse:";
constexpr const char* kFormat = "--format=%i|%T|%r|%N|%j|%k";

// What sbatch says when nothing was queued and nothing will be: the job itself is wrong.
constexpr std::array<std::string_view, 6> kRefusals = {"Invalid ",      "invalid ",   "violates",
                                                       "not available", "Requested ", "unrecognized option"};

bool is_job_id(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

class SlurmProvider final : public Provider {
 public:
  SlurmProvider(asio::io_context& io, SlurmProviderOptions options) : options_(std::move(options)), runner_(io) {}

  std::size_t kinds(const StartSpec& /*spec*/) const override { return options_.kinds(); }
  Task<CreateOutcome> create(const StartSpec& spec, std::size_t kind) override;
  Task<Result<std::vector<Sighting>>> list() override;
  Task<Result<std::vector<Sighting>>> status(const std::string& instance, const std::string& id) override;
  Task<Status> destroy(const std::string& instance, const std::string& id) override;
  void close() override { runner_.close(); }

 private:
  [[nodiscard]] CommandOptions command(std::vector<std::string> argv) const;
  [[nodiscard]] Result<std::vector<std::string>> submit_argv(const StartSpec& spec, std::size_t kind,
                                                             const std::string& script) const;
  [[nodiscard]] CreateOutcome judge(const Result<CommandOutput>& answer) const;

  const SlurmProviderOptions options_;
  CommandRunner runner_;
};

CommandOptions SlurmProvider::command(std::vector<std::string> argv) const {
  CommandOptions out;
  out.argv = std::move(argv);
  out.environment = options_.environment;
  out.timeout = options_.timeout;
  return out;
}

// --export=NIL: the job sees nothing of the gateway's environment. --no-requeue: an instance runs once; a second run
// of its script after a node's failure would carry a lease that is over.
Result<std::vector<std::string>> SlurmProvider::submit_argv(const StartSpec& spec, std::size_t kind,
                                                            const std::string& script) const {
  std::vector<std::string> argv = {options_.sbatch,
                                   "--parsable",
                                   fmt::format("--job-name={}{}", kNamePrefix, spec.instance_id),
                                   fmt::format("--comment={}{}", kCommentPrefix, options_.owner),
                                   "--export=NIL",
                                   "--no-requeue",
                                   "--time=" + options_.time_limit};
  if (!options_.partition.empty()) argv.push_back("--partition=" + options_.partition);
  if (!options_.gres.empty()) argv.push_back("--gres=" + options_.gres);
  if (!options_.output.empty()) argv.push_back("--output=" + options_.output);
  argv.insert(argv.end(), options_.arguments.begin(), options_.arguments.end());
  const std::string& type = options_.type_of(spec, kind);
  if (!type.empty()) {
    const auto found = options_.types.find(type);
    if (found == options_.types.end()) {
      return make_error(Code::kInvalidArgument, fmt::format("driver.{}.types: no type '{}'", options_.name, type));
    }
    argv.insert(argv.end(), found->second.begin(), found->second.end());
  }
  argv.push_back(script);
  return argv;
}

Task<CreateOutcome> SlurmProvider::create(const StartSpec& spec, std::size_t kind) {
  CreateOutcome out;
  const std::string path = options_.script_directory + "/job-" + spec.instance_id + ".sh";
  Result<std::vector<std::string>> argv = submit_argv(spec, kind, path);
  if (!argv.has_value()) {
    out.verdict = CreateVerdict::kRefused;
    out.error = argv.error();
    co_return out;
  }
  const std::string script = worker_script(worker_command(spec, options_.place));
  const Result<SecretFile> file = SecretFile::write(path, script);
  if (!file.has_value()) {
    out.verdict = CreateVerdict::kTryAgain;
    out.error = file.error();
    co_return out;
  }
  Task<Result<CommandOutput>> submitting = runner_.run(command(std::move(*argv)));
  const Result<CommandOutput> answer = co_await std::move(submitting);
  out = judge(answer);
  co_return out;
}

CreateOutcome SlurmProvider::judge(const Result<CommandOutput>& answer) const {
  if (!answer.has_value()) return not_run(answer.error());
  CreateOutcome out;
  if (answer->exit.exit_code != 0) {
    out.error = exit_error(options_.name + ": sbatch", *answer);
    const bool refused = std::any_of(kRefusals.begin(), kRefusals.end(), [&answer](std::string_view text) {
      return answer->errors.find(text) != std::string::npos;
    });
    if (refused) out.verdict = CreateVerdict::kRefused;
    return out;
  }
  const std::string_view id = std::string_view(answer->output).substr(0, answer->output.find_first_of(";\n"));
  if (is_job_id(id)) {
    out.verdict = CreateVerdict::kCreated;
    out.id = id;
    return out;
  }
  out.error = make_error(Code::kDataLoss,
                         fmt::format("{}: sbatch: no job id in '{}'", options_.name, last_words(answer->output)));
  return out;
}

Task<Result<std::vector<Sighting>>> SlurmProvider::list() {
  std::vector<std::string> argv = {options_.squeue, "--noheader", "--me", kFormat};
  Task<Result<CommandOutput>> asking = runner_.run(command(std::move(argv)));
  const Result<CommandOutput> answer = co_await std::move(asking);
  if (!answer.has_value()) co_return answer.error();
  if (answer->exit.exit_code != 0) co_return exit_error(options_.name + ": squeue", *answer);
  co_return read_squeue(answer->output, options_.owner);
}

Task<Result<std::vector<Sighting>>> SlurmProvider::status(const std::string& instance, const std::string& /*id*/) {
  std::vector<std::string> argv = {options_.squeue, "--noheader", "--me",
                                   fmt::format("--name={}{}", kNamePrefix, instance), kFormat};
  Task<Result<CommandOutput>> asking = runner_.run(command(std::move(argv)));
  const Result<CommandOutput> answer = co_await std::move(asking);
  if (!answer.has_value()) co_return answer.error();
  if (answer->exit.exit_code != 0) co_return exit_error(options_.name + ": squeue", *answer);
  std::vector<Sighting> out = read_squeue(answer->output, options_.owner);
  std::erase_if(out, [&instance](const Sighting& sighting) { return sighting.instance != instance; });
  co_return out;
}

Task<Status> SlurmProvider::destroy(const std::string& /*instance*/, const std::string& id) {
  std::vector<std::string> argv = {options_.scancel, id};
  Task<Result<CommandOutput>> telling = runner_.run(command(std::move(argv)));
  const Result<CommandOutput> answer = co_await std::move(telling);
  if (!answer.has_value()) co_return answer.error();
  if (answer->exit.exit_code != 0) co_return exit_error(options_.name + ": scancel", *answer);
  co_return Status();
}

}  // namespace

MachineState slurm_state(std::string_view word) {
  constexpr std::array<std::string_view, 10> kOver = {"BOOT_FAIL",     "CANCELLED", "COMPLETED", "DEADLINE", "FAILED",
                                                      "OUT_OF_MEMORY", "NODE_FAIL", "PREEMPTED", "TIMEOUT",  "REVOKED"};
  if (word == "RUNNING" || word == "SUSPENDED" || word == "STOPPED" || word == "SIGNALING") {
    return MachineState::kRunning;
  }
  // Its processes may still be there, but no worker will ever join from it again.
  if (word == "COMPLETING" || word == "STAGE_OUT") return MachineState::kFailed;
  if (std::find(kOver.begin(), kOver.end(), word) != kOver.end()) return MachineState::kStopped;
  return MachineState::kStarting;
}

std::vector<Sighting> read_squeue(std::string_view text, std::string_view owner) {
  std::vector<Sighting> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view rest = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    std::array<std::string_view, 5> fields;  // id, state, reason, nodes, name; the comment is what is left
    for (std::string_view& field : fields) {
      const std::size_t bar = std::min(rest.find('|'), rest.size());
      field = rest.substr(0, bar);
      rest.remove_prefix(std::min(bar + 1, rest.size()));
    }
    const auto& [id, state, reason, nodes, name] = fields;
    if (!is_job_id(id) || !name.starts_with(kNamePrefix) || !is_instance_id(name.substr(kNamePrefix.size()))) continue;
    if (!rest.starts_with(kCommentPrefix) || rest.substr(kCommentPrefix.size()) != owner) continue;
    Sighting sighting;
    sighting.instance = name.substr(kNamePrefix.size());
    sighting.id = id;
    sighting.state = slurm_state(state);
    sighting.detail = reason.empty() || reason == "None" ? std::string(state) : fmt::format("{}: {}", state, reason);
    sighting.address = nodes;
    out.push_back(std::move(sighting));
  }
  return out;
}

Result<std::unique_ptr<Provider>> make_slurm_provider(asio::io_context& io, SlurmProviderOptions options) {
  const std::string where = "driver." + options.name + ".";
  if (options.owner.empty() || options.owner.find_first_of("| \t\n") != std::string::npos) {
    return make_error(Code::kInvalidArgument, where + "owner: a word without '|' and white space");
  }
  const std::array<std::pair<const char*, std::string*>, 3> programs = {
      {{"sbatch", &options.sbatch}, {"squeue", &options.squeue}, {"scancel", &options.scancel}}};
  for (const auto& [key, program] : programs) {
    Result<std::string> found = find_program(*program, options.environment);
    if (!found.has_value()) return make_error(found.error().code, where + key + ": " + found.error().message);
    *program = std::move(*found);
  }
  std::vector<std::string> wanted = options.fallback_types;
  if (!options.type.empty()) wanted.push_back(options.type);
  for (const std::string& type : wanted) {
    if (options.types.contains(type)) continue;
    return make_error(Code::kInvalidArgument, fmt::format("{}types: no type '{}'", where, type));
  }
  if (options.time_limit.empty()) {
    return make_error(Code::kInvalidArgument, where + "time_limit: a job without one could cost money for ever");
  }
  return std::unique_ptr<Provider>(std::make_unique<SlurmProvider>(io, std::move(options)));
}

}  // namespace dormouse::fleet
