// The verbs `completions SHELL` and `man`: what the program says of itself, for shells and for man(1).
#include "cli/self_describe.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "catalog/catalog.h"
#include "catalog/deployment_rules.h"
#include "cli/admin_client.h"
#include "cli/completions.h"
#include "cli/image_text.h"
#include "cli/man_page.h"
#include "cli/price_list.h"
#include "cli/verbs.h"
#include "gateway/admin_wire.h"
#include "gateway/gateway.h"

namespace dormouse::cli {
namespace {

// Who presses Tab waits for it.
constexpr std::chrono::milliseconds kTabDeadline{1'000};

std::vector<std::string> deployment_names(const Context& context) {
  AdminClient client(context.admin_socket());
  const Result<std::string> body = client.get_within("/admin/v1/status", kTabDeadline);
  const Result<gateway::StatusView> status = body.has_value() ? gateway::parse_status(*body) : Error(body.error());
  std::vector<std::string> out;
  if (!status.has_value()) return out;
  for (const gateway::DeploymentView& d : status->deployments) out.push_back(d.name);
  return out;
}

std::vector<std::string> names_of(const Context& context, Names what) {
  std::vector<std::string> out;
  switch (what) {
    case Names::kDeployments: return deployment_names(context);
    case Names::kImages:
      if (const Result<catalog::Catalog> gallery = read_gallery(context); gallery.has_value()) {
        for (const catalog::Image& image : gallery->images()) out.push_back(image.reference());
      }
      return out;
    case Names::kInstanceTypes:
      if (const Result<PriceList> prices = read_price_list(context, ""); prices.has_value()) {
        for (const catalog::InstanceType& type : prices->types.all()) out.push_back(type.name);
      }
      return out;
    case Names::kRuleKeys:
      out.emplace_back("image=");
      for (const catalog::Field& field : catalog::rule_fields()) out.push_back(fmt::format("{}=", field.key));
      return out;
  }
  return out;
}

}  // namespace

void complete_words(const CLI::App& app, Context context, const std::vector<std::string>& words) {
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] == "--data-dir") context.data_dir = words[i + 1];
    if (words[i].starts_with("--data-dir=")) context.data_dir = words[i].substr(words[i].find('=') + 1);
  }
  for (const Candidate& each : complete(read_tree(app), words, [&context](Names n) { return names_of(context, n); })) {
    fmt::print("{}{}{}\n", each.text, each.description.empty() ? "" : "\t", each.description);
  }
}

void add_completions(CLI::App& app, Context& context) {
  auto shell = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand(
      "completions", std::string(context.say("the script that makes Tab complete verbs, switches, deployments",
                                             "补全脚本：按 Tab 补全命令、选项与部署名")));
  verb->add_option("SHELL", *shell, std::string(context.say("bash, zsh or fish", "bash、zsh 或 fish")))
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  verb->footer(
      fmt::format("{}\n  source <(dormouse completions bash)\n"
                  "  dormouse completions zsh > ~/.zfunc/_dormouse\n"
                  "  dormouse completions fish > ~/.config/fish/completions/dormouse.fish",
                  context.say("Examples (a package has them installed already):", "示例（软件包已自带）：")));
  verb->callback([shell] { fmt::print("{}", completion_script(*shell).value_or("")); });
}

void add_man(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand("man", std::string(context.say("the manual page, for man(1)", "手册页")));
  verb->footer(fmt::format("{}\n  dormouse man | man -l -\n  dormouse --lang zh man > dormouse.1",
                           context.say("Examples:", "示例：")));
  verb->callback([&app, &context] { fmt::print("{}", man_page(read_tree(app), gateway::kVersion, context.language)); });
}

}  // namespace dormouse::cli
