// Each verb adds its subcommand to the application; its work runs when CLI11 calls it, and leaves context.exit_code.
#pragma once

#include "cli/context.h"

namespace CLI {
class App;
}

namespace dormouse::cli {

// The whole program: what stands before every verb, and the verbs. `context` is read and written until `app` is gone.
void build_app(CLI::App& app, Context& context);

void add_serve(CLI::App& app, Context& context);
void add_run(CLI::App& app, Context& context);
void add_deploy(CLI::App& app, Context& context);
void add_set(CLI::App& app, Context& context);
void add_rm(CLI::App& app, Context& context);
void add_console(CLI::App& app, Context& context);
void add_ps(CLI::App& app, Context& context);
void add_wake(CLI::App& app, Context& context);
void add_sleep(CLI::App& app, Context& context);
void add_usage(CLI::App& app, Context& context);
void add_bill(CLI::App& app, Context& context);
void add_plan(CLI::App& app, Context& context);
void add_bench(CLI::App& app, Context& context);
void add_keys(CLI::App& app, Context& context);
void add_logs(CLI::App& app, Context& context);
void add_alerts(CLI::App& app, Context& context);
void add_images(CLI::App& app, Context& context);
void add_pull(CLI::App& app, Context& context);
void add_doctor(CLI::App& app, Context& context);
void add_completions(CLI::App& app, Context& context);
void add_man(CLI::App& app, Context& context);

}  // namespace dormouse::cli
