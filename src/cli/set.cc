// The verb `set N key=value...`: changes a deployment at once, by the keys of dormouse.toml.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "catalog/deployment_rules.h"
#include "cli/admin_client.h"
#include "cli/verbs.h"
#include "gateway/admin_wire.h"

namespace dormouse::cli {
namespace {

Result<gateway::DeploymentChange> read_pairs(const std::vector<std::string>& pairs) {
  gateway::DeploymentChange out;
  for (const std::string& pair : pairs) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string::npos) {
      return make_error(Code::kInvalidArgument,
                        fmt::format("'{}' is not key=value; keys are: {}", pair, catalog::known_keys()));
    }
    const std::string key = pair.substr(0, equals);
    const std::string text = pair.substr(equals + 1);
    if (key == "image") {
      out.image = text;
      continue;
    }
    TRY(catalog::FieldValue value, catalog::read_rule_text(key, text));
    catalog::DeploymentRules scratch;
    TRY_STATUS(catalog::set_rule(scratch, key, value));
    out.rules.emplace_back(std::string(catalog::find_field(key)->key), std::move(value));
  }
  return out;
}

void print_change(std::string_view key, const std::string& before, const std::string& after) {
  const auto shown = [](const std::string& text) { return text.empty() ? std::string("-") : text; };
  fmt::print("  {:<16} {} -> {}\n", key, shown(before), shown(after));
}

void print_changes(const gateway::DeploymentChange& change, const gateway::DeploymentView& before,
                   const gateway::DeploymentView& after) {
  fmt::print("{}\n", after.name);
  if (!change.image.empty()) print_change("image", before.image, after.image);
  for (const auto& [key, value] : change.rules) {
    const catalog::Field& field = *catalog::find_field(key);
    print_change(key, catalog::rule_text(catalog::rule_value(before.rules, field), field),
                 catalog::rule_text(catalog::rule_value(after.rules, field), field));
  }
}

void set(Context& context, const std::string& name, const std::vector<std::string>& pairs, bool as_json) {
  const Result<gateway::DeploymentChange> change = read_pairs(pairs);
  if (!change.has_value()) {
    fmt::print(stderr, "{}: {}\n", context.say("failed", "失败"), change.error().message);
    context.exit_code = kExitUsage;
    return;
  }
  AdminClient client(context.admin_socket());
  const std::string target = "/admin/v1/deployments/" + name;
  const Result<std::string> old_body = client.get(target);
  if (!old_body.has_value()) return report_failure(context, old_body.error());
  const Result<gateway::DeploymentView> before = gateway::parse_deployment(*old_body);
  if (!before.has_value()) return report_failure(context, before.error());
  const Result<std::string> body = client.patch(target, gateway::to_json(*change));
  if (!body.has_value()) return report_failure(context, body.error());
  if (as_json) {
    fmt::print("{}\n", *body);
    return;
  }
  const Result<gateway::DeploymentView> after = gateway::parse_deployment(*body);
  if (!after.has_value()) return report_failure(context, after.error());
  print_changes(*change, *before, *after);
  if (after->rules.exposure == "public" && before->rules.exposure != "public") print_notices(client);
  if (!after->defined_by.empty()) {
    fmt::print(fmt::runtime(context.say("  until the next start, which makes it anew from {}\n",
                                        "  仅到下次启动为止：届时按 {} 重新定义\n")),
               after->defined_by);
  }
}

}  // namespace

void add_set(CLI::App& app, Context& context) {
  auto name = std::make_shared<std::string>();
  auto pairs = std::make_shared<std::vector<std::string>>();
  auto format = std::make_shared<std::string>("text");
  CLI::App* verb = app.add_subcommand("set", std::string(context.say("change a deployment", "修改部署")));
  verb->add_option("NAME", *name, std::string(context.say("the deployment", "部署名称")))->required();
  verb->add_option("KEY=VALUE", *pairs, std::string(context.say("what to change", "要修改的项")))->required();
  verb->add_option("--format", *format, "text, json")->check(CLI::IsMember({"text", "json"}))->capture_default_str();
  std::string footer(context.say("Keys, as in dormouse.toml:\n", "可用的键（与 dormouse.toml 相同）：\n"));
  footer += "  image             (gallery name or file)\n";
  for (const catalog::Field& field : catalog::rule_fields())
    footer += fmt::format("  {:<17} {}\n", field.key, field.wants);
  footer += context.say(
      "Examples:\n  dormouse set chat idle-timeout=5m max=3\n"
      "  dormouse set chat awake=\"Mon-Fri 08:55-18:05\" aliases=gpt-4o-mini,assistant",
      "示例：\n  dormouse set chat idle-timeout=5m max=3\n"
      "  dormouse set chat awake=\"Mon-Fri 08:55-18:05\" aliases=gpt-4o-mini,assistant");
  verb->footer(footer);
  verb->callback([&context, name, pairs, format] { set(context, *name, *pairs, *format == "json"); });
}

}  // namespace dormouse::cli
