// What `dormouse doctor` looks at, one finding each. Blocking, reads only. Threads: one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/context.h"
#include "cli/machine.h"
#include "cli/worker_doctor.h"

namespace dormouse::cli {

enum class Verdict { kWrong, kWarning, kGood };             // the order of the list: worst first
[[nodiscard]] std::string_view to_string(Verdict verdict);  // "wrong", "warning", "good"

struct Finding {
  Verdict verdict = Verdict::kGood;
  std::string_view check;  // "worker", "memory", ...: for programs
  std::string text;        // what is so, and where something is wrong, what to do
};

// `gpus`: what the worker said; its error is a finding too.
[[nodiscard]] std::vector<Finding> check_all(const Context& context, const Machine& machine,
                                             const Result<WorkerGpus>& gpus);
// Asks the worker beside this program. Errors: ask_worker's; kNotFound: there is none.
[[nodiscard]] Result<WorkerGpus> find_gpus(const Context& context);

}  // namespace dormouse::cli
