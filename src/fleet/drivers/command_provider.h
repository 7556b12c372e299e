// A provider reached through its command-line program: aliyun, tccli, aws, runpodctl, a script of one's own.
// Four templates (start, stop, list; status where it is cheaper than list), never through a shell.
// docs/drivers.md shows the configuration that becomes these options.
// Threads: the loop's.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "fleet/drivers/provider.h"
#include "fleet/worker_command.h"

namespace dormouse::fleet {

// Placeholders, everywhere: {owner}; in start also {instance} {deployment} {epoch} {type} {token} {model} {control}
// {control_fingerprint} {worker_command} {user_data} {user_data_base64} {user_data_file}; in stop and status
// {instance} {id}.
struct CommandTemplate {
  std::vector<std::string> argv;
  std::chrono::milliseconds timeout{60'000};
  int retries = 2;  // beyond the first try, with backoff
};

// Two gateways on one account must have two owners, or they end each other's machines.
struct CommandProviderOptions : ProviderOptions {
  CommandTemplate start;
  CommandTemplate stop;
  CommandTemplate list;
  CommandTemplate status;  // no argv: list is asked
  // Readings (answer.h) of start's answer.
  std::string start_id;
  std::vector<std::string> start_refused;  // texts of an answer that made nothing and would not another time
  // Of list's answer: json:/PATH that leads to all machines, or "lines"; then of each.
  std::string list_rows;
  std::string list_expect;  // a text in every sound answer; "lines" needs it, an empty list looks like nonsense else
  std::string list_instance;
  std::string list_id;
  std::string list_state;    // empty: what is listed runs
  std::string list_address;  // empty: none
  // Of status's answer.
  std::string status_state;
  std::string status_address;
  std::vector<std::string> status_gone;        // texts of a failed answer that mean: there is no such machine
  std::map<std::string, MachineState> states;  // the provider's words; a word not here counts as starting
  std::vector<std::string> environment;        // "NAME=value", complete: what the commands may see
  std::string script_directory;                // for {user_data_file}; files are 0600 and live as long as the command
  std::size_t output_limit = 1U << 20;
  std::chrono::milliseconds backoff{1'000};
};

// Of `environment`, PATH, HOME, LANG, LC_ALL, TZ, TMPDIR, proxies, TLS roots, and the further `names`.
[[nodiscard]] std::vector<std::string> command_environment(const char* const* environment,
                                                           const std::vector<std::string>& names);

// Errors: kInvalidArgument or kNotFound, naming the key: a template without its placeholder or with an unknown one,
// a program that does not exist, a reading that cannot be read.
[[nodiscard]] Result<std::unique_ptr<Provider>> make_command_provider(asio::io_context& io,
                                                                      CommandProviderOptions options);

// A UUID as we write them.
[[nodiscard]] bool is_instance_id(std::string_view text);

}  // namespace dormouse::fleet
