#include "fleet/drivers/command_provider.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "fleet/command_run.h"
#include "fleet/drivers/answer.h"
#include "fleet/drivers/secret_file.h"
#include "fleet/drivers/template_text.h"

namespace dormouse::fleet {
namespace {

using Values = std::map<std::string, std::string>;

const std::set<std::string>& start_names() {
  static const std::set<std::string> names = {
      "owner",         "instance", "deployment",          "epoch",          "type",      "token",
      "model",         "control",  "control_fingerprint", "worker_command", "user_data", "user_data_base64",
      "user_data_file"};
  return names;
}

// The readings of a provider, parsed.
struct Readings {
  Reading start_id;
  std::optional<Reading> list_rows;  // nullopt: lines
  Reading list_instance;
  Reading list_id;
  std::optional<Reading> list_state;
  std::optional<Reading> list_address;
  std::optional<Reading> status_state;
  std::optional<Reading> status_address;
};

std::string base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = group << 8U | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out += i + k > bytes.size() ? '=' : kAlphabet[group >> (18 - 6 * k) & 63U];
    }
  }
  return out;
}

bool contains_any(const CommandOutput& answer, const std::vector<std::string>& texts) {
  return std::any_of(texts.begin(), texts.end(), [&answer](const std::string& text) {
    return answer.output.find(text) != std::string::npos || answer.errors.find(text) != std::string::npos;
  });
}

class CommandProvider final : public Provider {
 public:
  CommandProvider(asio::io_context& io, CommandProviderOptions options, Readings readings)
      : io_(io), options_(std::move(options)), readings_(std::move(readings)), runner_(io) {}

  std::size_t kinds(const StartSpec& /*spec*/) const override { return options_.kinds(); }
  Task<CreateOutcome> create(const StartSpec& spec, std::size_t kind) override;
  Task<Result<std::vector<Sighting>>> list() override;
  Task<Result<std::vector<Sighting>>> status(const std::string& instance, const std::string& id) override;
  Task<Status> destroy(const std::string& instance, const std::string& id) override;
  void close() override { runner_.close(); }

 private:
  enum class Repeat { kNo, kYes };
  Task<Result<CommandOutput>> run(const CommandTemplate& command, const Values& values, Repeat repeat);
  [[nodiscard]] Values start_values(const StartSpec& spec, std::size_t kind, const std::string& script) const;
  [[nodiscard]] CreateOutcome judge(const StartSpec& spec, const Result<CommandOutput>& answer) const;
  [[nodiscard]] Result<std::vector<Sighting>> read_list(std::string text) const;
  [[nodiscard]] MachineState state_of(const std::optional<std::string>& word) const;

  asio::io_context& io_;
  const CommandProviderOptions options_;
  const Readings readings_;
  CommandRunner runner_;
};

// The caller's frame holds `command` and `values` until the task ends.
Task<Result<CommandOutput>> CommandProvider::run(const CommandTemplate& command, const Values& values, Repeat repeat) {
  CommandOptions run_options;
  for (const std::string& word : command.argv) run_options.argv.push_back(filled(word, values));
  run_options.environment = options_.environment;
  const auto lease = values.find("lease");
  if (lease != values.end()) run_options.environment.push_back(lease_entry(lease->second));
  run_options.timeout = command.timeout;
  run_options.output_limit = options_.output_limit;
  asio::steady_timer pause(io_);
  for (int tries = 0;; ++tries) {
    Task<Result<CommandOutput>> running = runner_.run(run_options);
    Result<CommandOutput> answer = co_await std::move(running);
    const bool good = answer.has_value() && answer->exit.exit_code == 0;
    const bool hopeless = !answer.has_value() && answer.error().code != Code::kDeadlineExceeded;
    if (good || hopeless || repeat == Repeat::kNo || tries >= command.retries) co_return answer;
    pause.expires_after(options_.backoff * (1 << std::min(tries, 6)));
    co_await pause.async_wait(kTuple);
  }
}

Values CommandProvider::start_values(const StartSpec& spec, std::size_t kind, const std::string& script) const {
  const WorkerCommand worker = worker_command(spec, options_.place);
  return {{"owner", options_.owner},
          {"instance", spec.instance_id},
          {"deployment", spec.deployment},
          {"epoch", std::to_string(spec.epoch)},
          {"type", options_.type_of(spec, kind)},
          {"token", kind == 0 ? spec.instance_id : spec.instance_id + "-" + std::to_string(kind)},
          {"model", spec.model_path},
          {"control", options_.place.control},
          {"control_fingerprint", options_.place.control_fingerprint},
          {"worker_command", shell_quoted(worker.argv)},
          {"user_data", worker_script(worker)},
          {"user_data_base64", base64(worker_script(worker))},
          {"user_data_file", script},
          {"lease", spec.lease_token}};
}

Task<CreateOutcome> CommandProvider::create(const StartSpec& spec, std::size_t kind) {
  const std::string path = options_.script_directory + "/start-" + spec.instance_id + ".sh";
  const bool needs_file = std::any_of(options_.start.argv.begin(), options_.start.argv.end(), [](const auto& word) {
    return word.find("{user_data_file}") != std::string::npos;
  });
  std::optional<SecretFile> file;
  if (needs_file) {
    const std::string script = worker_script(worker_command(spec, options_.place));
    Result<SecretFile> written = SecretFile::write(path, script);
    if (!written.has_value()) co_return CreateOutcome{CreateVerdict::kTryAgain, "", written.error()};
    file.emplace(std::move(*written));
  }
  const Values values = start_values(spec, kind, path);
  const Result<CommandOutput> answer = co_await run(options_.start, values, Repeat::kNo);
  CreateOutcome outcome = judge(spec, answer);
  co_return outcome;
}

CreateOutcome CommandProvider::judge(const StartSpec& spec, const Result<CommandOutput>& answer) const {
  if (!answer.has_value()) return not_run(answer.error());
  CreateOutcome out;
  if (answer->exit.exit_code != 0) {
    out.error = exit_error(options_.name + ": start", *answer);
    if (contains_any(*answer, options_.start_refused)) out.verdict = CreateVerdict::kRefused;
  } else {
    const AnswerForm form = readings_.start_id.kind == Reading::Kind::kJson ? AnswerForm::kJson : AnswerForm::kText;
    const Result<Answer> parsed = Answer::parse(answer->output, form);
    const std::optional<std::string> id = parsed.has_value() ? parsed->value(readings_.start_id) : std::nullopt;
    if (id.has_value() && !id->empty()) {
      out.verdict = CreateVerdict::kCreated;
      out.id = *id;
      return out;
    }
    const std::string why = parsed.has_value() ? "no id in the answer" : parsed.error().message;
    out.error =
        make_error(Code::kDataLoss, fmt::format("{}: start: {}: {}", options_.name, why, last_words(answer->output)));
  }
  // Programs like to repeat their arguments when they fail.
  for (std::size_t at = 0; !spec.lease_token.empty();) {
    at = out.error.message.find(spec.lease_token, at);
    if (at == std::string::npos) break;
    out.error.message.replace(at, spec.lease_token.size(), "***");
  }
  return out;
}

MachineState CommandProvider::state_of(const std::optional<std::string>& word) const {
  const auto found = options_.states.find(word.value_or(""));
  return found == options_.states.end() ? MachineState::kStarting : found->second;
}

Result<std::vector<Sighting>> CommandProvider::read_list(std::string text) const {
  if (text.find(options_.list_expect) == std::string::npos) {
    return make_error(Code::kDataLoss, fmt::format("{}: list: '{}' is not in the answer: {}", options_.name,
                                                   options_.list_expect, last_words(text)));
  }
  const auto pointer = [](const std::optional<Reading>& reading) { return reading.has_value() ? &*reading : nullptr; };
  const std::vector<const Reading*> fields = {&readings_.list_instance, &readings_.list_id,
                                              pointer(readings_.list_state), pointer(readings_.list_address)};
  const AnswerForm form = readings_.list_rows.has_value() ? AnswerForm::kJson : AnswerForm::kText;
  Result<Answer> answer = Answer::parse(std::move(text), form);
  if (!answer.has_value()) return make_error(Code::kDataLoss, options_.name + ": list: " + answer.error().message);
  std::vector<Answer::Row> rows;
  if (readings_.list_rows.has_value()) {
    Result<std::vector<Answer::Row>> found = answer->rows(*readings_.list_rows, fields);
    if (!found.has_value()) return make_error(Code::kDataLoss, options_.name + ": list: " + found.error().message);
    rows = std::move(*found);
  } else {
    rows = answer->lines(fields);
  }
  std::vector<Sighting> out;
  for (const Answer::Row& row : rows) {
    if (!row[0].has_value() || !is_instance_id(*row[0]) || !row[1].has_value()) continue;  // somebody else's
    Sighting sighting;
    sighting.instance = *row[0];
    sighting.id = *row[1];
    sighting.state = readings_.list_state.has_value() ? state_of(row[2]) : MachineState::kRunning;
    sighting.detail = row[2].value_or("");
    sighting.address = row[3].value_or("");
    out.push_back(std::move(sighting));
  }
  return out;
}

Task<Result<std::vector<Sighting>>> CommandProvider::list() {
  const Values values = {{"owner", options_.owner}};
  Result<CommandOutput> answer = co_await run(options_.list, values, Repeat::kYes);
  if (!answer.has_value()) co_return answer.error();
  if (answer->exit.exit_code != 0) co_return exit_error(options_.name + ": list", *answer);
  co_return read_list(std::move(answer->output));
}

Task<Result<std::vector<Sighting>>> CommandProvider::status(const std::string& instance, const std::string& id) {
  if (options_.status.argv.empty() || id.empty()) {
    Result<std::vector<Sighting>> all = co_await list();
    if (all.has_value()) std::erase_if(*all, [&instance](const Sighting& s) { return s.instance != instance; });
    co_return all;
  }
  const Values values = {{"owner", options_.owner}, {"instance", instance}, {"id", id}};
  const Result<CommandOutput> answer = co_await run(options_.status, values, Repeat::kNo);
  if (!answer.has_value()) co_return answer.error();
  std::vector<Sighting> out;
  if (answer->exit.exit_code != 0) {
    if (contains_any(*answer, options_.status_gone)) co_return out;
    co_return exit_error(options_.name + ": status", *answer);
  }
  const AnswerForm form = readings_.status_state->kind == Reading::Kind::kJson ? AnswerForm::kJson : AnswerForm::kText;
  const Result<Answer> parsed = Answer::parse(answer->output, form);
  const std::optional<std::string> word = parsed.has_value() ? parsed->value(*readings_.status_state) : std::nullopt;
  if (!word.has_value()) {
    const std::string why = parsed.has_value() ? "no state in the answer" : parsed.error().message;
    co_return make_error(Code::kDataLoss,
                         fmt::format("{}: status: {}: {}", options_.name, why, last_words(answer->output)));
  }
  Sighting sighting;
  sighting.instance = instance;
  sighting.id = id;
  sighting.state = state_of(word);
  sighting.detail = *word;
  if (readings_.status_address.has_value()) {
    sighting.address = parsed->value(*readings_.status_address).value_or("");
  }
  out.push_back(std::move(sighting));
  co_return out;
}

Task<Status> CommandProvider::destroy(const std::string& instance, const std::string& id) {
  const Values values = {{"owner", options_.owner}, {"instance", instance}, {"id", id}};
  const Result<CommandOutput> answer = co_await run(options_.stop, values, Repeat::kNo);
  if (!answer.has_value()) co_return answer.error();
  if (answer->exit.exit_code != 0) co_return exit_error(options_.name + ": stop", *answer);
  co_return Status();
}

// The checks of make_command_provider; `key` is what the configuration calls it.
Result<std::set<std::string>> check_template(const CommandProviderOptions& options, const std::string& key,
                                             const CommandTemplate& command, const std::set<std::string>& known) {
  const std::string where = fmt::format("driver.{}.{}", options.name, key);
  if (command.argv.empty()) return make_error(Code::kInvalidArgument, where + ": is missing: a list of words");
  std::set<std::string> used;
  for (const std::string& word : command.argv) {
    const Result<std::set<std::string>> names = placeholders_of(word, known);
    if (!names.has_value()) return make_error(Code::kInvalidArgument, where + ": " + names.error().message);
    used.insert(names->begin(), names->end());
  }
  if (command.timeout.count() <= 0 || command.retries < 0) {
    return make_error(Code::kInvalidArgument, where + ": a timeout is over 0, retries are 0 or more");
  }
  const Result<std::string> program = find_program(command.argv[0], options.environment);
  if (!program.has_value()) return make_error(program.error().code, where + ": " + program.error().message);
  return used;
}

Result<Reading> read_reading(const CommandProviderOptions& options, const std::string& key, const std::string& text) {
  Result<Reading> reading = Reading::parse(text);
  if (reading.has_value()) return reading;
  return make_error(Code::kInvalidArgument,
                    fmt::format("driver.{}.{}: {}", options.name, key, reading.error().message));
}

Result<std::optional<Reading>> read_optional(const CommandProviderOptions& options, const std::string& key,
                                             const std::string& text) {
  if (text.empty()) return std::optional<Reading>();
  TRY(Reading reading, read_reading(options, key, text));
  return std::optional<Reading>(std::move(reading));
}

Status check_commands(const CommandProviderOptions& options) {
  const std::string where = "driver." + options.name + ".";
  TRY(const std::set<std::string> start, check_template(options, "start", options.start, start_names()));
  if (!start.contains("instance")) {
    return make_error(Code::kInvalidArgument,
                      where + "start: no {instance}: a machine without our mark could not be found again");
  }
  const std::set<std::string> of_one = {"owner", "instance", "id"};
  TRY(const std::set<std::string> stop, check_template(options, "stop", options.stop, of_one));
  if (!stop.contains("id") && !stop.contains("instance")) {
    return make_error(Code::kInvalidArgument, where + "stop: neither {id} nor {instance}: it would not know which");
  }
  TRY(const std::set<std::string> list, check_template(options, "list", options.list, {"owner"}));
  TRY(const std::set<std::string> name, placeholders_of(options.list_instance, {"owner"}));
  if (options.owner.empty() || (!list.contains("owner") && !name.contains("owner"))) {
    return make_error(Code::kInvalidArgument,
                      where +
                          "list: no {owner}, neither here nor in list_instance: machines of another gateway on the "
                          "same account could not be told from ours");
  }
  if (!start.contains("owner")) {
    return make_error(Code::kInvalidArgument, where + "start: no {owner}, by which list finds the machine");
  }
  if (options.status.argv.empty()) return {};
  TRY(const std::set<std::string> status, check_template(options, "status", options.status, of_one));
  if (!status.contains("id") && !status.contains("instance")) {
    return make_error(Code::kInvalidArgument, where + "status: neither {id} nor {instance}: it would not know which");
  }
  return {};
}

Result<Readings> check_readings(const CommandProviderOptions& options) {
  Readings out;
  TRY(out.start_id, read_reading(options, "start_id", options.start_id));
  const std::string instance = filled(options.list_instance, {{"owner", options.owner}});
  TRY(out.list_instance, read_reading(options, "list_instance", instance));
  TRY(out.list_id, read_reading(options, "list_id", options.list_id));
  TRY(out.list_state, read_optional(options, "list_state", options.list_state));
  TRY(out.list_address, read_optional(options, "list_address", options.list_address));
  const bool lines = options.list_rows == "lines";
  if (!lines) {
    TRY(out.list_rows, read_reading(options, "list_rows", options.list_rows));
  } else if (options.list_expect.empty()) {
    return make_error(Code::kInvalidArgument,
                      fmt::format("driver.{}.list_expect: is missing: with list_rows = \"lines\" an empty list must "
                                  "be told from an answer that is none",
                                  options.name));
  }
  for (const Reading* field : {&out.list_instance, &out.list_id}) {
    if (lines == (field->kind != Reading::Kind::kJson)) continue;
    return make_error(Code::kInvalidArgument,
                      fmt::format("driver.{}: list_rows = \"{}\" does not go with {}", options.name, options.list_rows,
                                  lines ? "json: readings; write column:N" : "text readings; write json:/PATH"));
  }
  if (!options.status.argv.empty()) {
    TRY(out.status_state, read_reading(options, "status_state", options.status_state));
    TRY(out.status_address, read_optional(options, "status_address", options.status_address));
  }
  return out;
}

}  // namespace

std::vector<std::string> command_environment(const char* const* environment, const std::vector<std::string>& names) {
  constexpr std::array<std::string_view, 14> kNames = {
      "PATH",        "HOME",     "LANG",       "LC_ALL",      "TZ",       "TMPDIR",        "HTTP_PROXY",
      "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"};
  std::vector<std::string> out;
  for (const char* const* entry = environment; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string_view name = text.substr(0, text.find('='));
    const bool allowed = std::find(kNames.begin(), kNames.end(), name) != kNames.end() ||
                         std::find(names.begin(), names.end(), name) != names.end();
    if (allowed) out.emplace_back(text);
  }
  return out;
}

bool is_instance_id(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const char c = text[i];
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    if (dash ? c != '-' : !hex) return false;
  }
  return true;
}

Result<std::unique_ptr<Provider>> make_command_provider(asio::io_context& io, CommandProviderOptions options) {
  TRY_STATUS(check_commands(options));
  TRY(Readings readings, check_readings(options));
  return std::unique_ptr<Provider>(std::make_unique<CommandProvider>(io, std::move(options), std::move(readings)));
}

}  // namespace dormouse::fleet
