// A Slurm cluster through sbatch, squeue and scancel: one job an instance, its name the key, its comment the gateway's
// mark. The text formats of squeue are used, not --json: its shape changes with the version of Slurm and it needs a
// plugin that not every site has, while the letters of --format have meant the same for a decade.
// Threads: the loop's.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fleet/drivers/provider.h"
#include "fleet/worker_command.h"

namespace dormouse::fleet {

// The owner has no '|' and no white space.
struct SlurmProviderOptions : ProviderOptions {
  std::string sbatch = "sbatch";
  std::string squeue = "squeue";
  std::string scancel = "scancel";
  std::string partition;                // empty: the cluster's default
  std::string gres;                     // "gpu:1"; empty: none
  std::string time_limit = "24:00:00";  // what ends a worker that everybody forgot
  std::string output;                   // the job's log on its node; empty: slurm-%j.out where it started
  std::vector<std::string> arguments;   // further ones for sbatch, after ours
  // instance type -> arguments for sbatch; a type not here is refused. Empty: types are not used.
  std::map<std::string, std::vector<std::string>> types;
  std::vector<std::string> environment;     // "NAME=value", complete: PATH, SLURM_CONF
  std::string script_directory;             // job scripts, 0600, as long as sbatch reads them
  std::chrono::milliseconds timeout{30'000};
};

// Errors: kInvalidArgument or kNotFound, naming the key.
[[nodiscard]] Result<std::unique_ptr<Provider>> make_slurm_provider(asio::io_context& io, SlurmProviderOptions options);

// What a job's state in squeue's long form means for us; unknown words count as starting, never as gone.
[[nodiscard]] MachineState slurm_state(std::string_view word);

// Lines of squeue --format=%i|%T|%r|%N|%j|%k; those that are not of `owner` are left out.
[[nodiscard]] std::vector<Sighting> read_squeue(std::string_view text, std::string_view owner);

}  // namespace dormouse::fleet
