// The verbs `keys create|list|set|rotate|revoke`: who may ask a server. With no server running they work on the data
// directory itself: that is how one gets its first key before it starts.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>
#include <memory>

#include "base/money.h"
#include "cli/key_desk.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "gateway/keys/key_format.h"

namespace dormouse::cli {
namespace {

using gateway::KeyView;
using gateway::KeyWish;

struct WishFlags {
  std::string name;
  std::string scope;
  std::vector<std::string> models;
  std::optional<std::int64_t> rpm;
  std::optional<std::int64_t> tpm;
  std::optional<std::int64_t> concurrency;
  std::string budget;
  std::string expires;
};

enum class Format { kText, kJson };

void fail(Context& context, const Error& error, int exit_code = kExitFailed) {
  fmt::print(stderr, "{}: {}\n", context.say("failed", "失败"), error.message);
  context.exit_code = exit_code;
}

std::unique_ptr<KeyDesk> open_desk(Context& context) {
  Result<std::unique_ptr<KeyDesk>> desk = KeyDesk::open(context.admin_socket(), context.data_dir);
  if (desk.has_value()) return *std::move(desk);
  fail(context, desk.error());
  return nullptr;
}

// The server's own grammar, whether one runs or not. "*" in place of names: every deployment.
Result<KeyWish> wish_of(const WishFlags& flags) {
  KeyWish out;
  if (!flags.name.empty()) out.name = flags.name;
  out.scope = gateway::scope_of(flags.scope);
  if (!flags.models.empty())
    out.models = flags.models == std::vector<std::string>{"*"} ? std::vector<std::string>() : flags.models;
  out.requests_per_minute = flags.rpm;
  out.tokens_per_minute = flags.tpm;
  out.concurrency = flags.concurrency;
  if (!flags.budget.empty()) {
    TRY(out.budget, gateway::read_budget(flags.budget));
  }
  if (!flags.expires.empty()) {
    TRY(out.expires, gateway::parse_expiry(flags.expires));
  }
  return gateway::parse_key_wish(to_json(out));
}

// "Kid0000001", also as lists show it: "lsk_Kid0000001". A whole key does not belong on a command line.
Result<std::string> kid_argument(const Context& context, std::string text) {
  if (gateway::kid_of(text).has_value()) {
    return make_error(
        Code::kInvalidArgument,
        std::string(context.say("that is a whole key, and command lines are seen by others: name it by its "
                                "ten characters after lsk_, and take it for leaked",
                                "这是完整的密钥，命令行会被他人看到：请只写 lsk_ 之后的十个字符，并视该密钥为已泄露")));
  }
  if (text.starts_with("lsk_") || text.starts_with("lsa_")) text.erase(0, gateway::kPrefixCharacters);
  if (gateway::is_kid(text)) return text;
  return make_error(Code::kInvalidArgument,
                    std::string(context.say("a key is named by ten letters and digits, see `dormouse keys list`",
                                            "密钥以十个字母和数字表示，见 `dormouse keys list`")));
}

std::string time_text(std::int64_t us) {
  const auto seconds = static_cast<std::time_t>(us / 1'000'000);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  return fmt::format("{:%Y-%m-%d %H:%M}", local);
}

std::string models_text(const KeyView& view) {
  return view.models.empty() ? std::string("*") : fmt::format("{}", fmt::join(view.models, ","));
}

std::string limits_text(const Context& context, const KeyView& view) {
  const bool zh = context.language == Language::kChinese;
  std::vector<std::string> out;
  const auto add = [&out](std::int64_t limit, const char* format) {
    if (limit > 0) out.push_back(fmt::format(fmt::runtime(format), grouped(limit)));
  };
  add(view.limits.requests_per_minute, zh ? "{} 次/分" : "{} rpm");
  add(view.limits.tokens_per_minute, zh ? "{} 词元/分" : "{} tpm");
  add(view.limits.concurrency, zh ? "并发 {}" : "{} at once");
  if (view.limits.budget_micros > 0) {
    const std::string spent = to_display(Money{view.spent_micros, view.limits.budget_currency});
    out.push_back(
        fmt::format(fmt::runtime(zh ? "{}（已用 {}）" : "{} ({} used)"), gateway::budget_text(view.limits), spent));
  }
  // A price would make it count: a budget that cannot bind must not look as if it did.
  add(view.unpriced_requests, zh ? "{} 个请求无价格，未计入" : "{} requests without a price not counted");
  return out.empty() ? std::string("-") : fmt::format("{}", fmt::join(out, zh ? "，" : ", "));
}

std::string_view state_text(const Context& context, gateway::KeyState state) {
  switch (state) {
    case gateway::KeyState::kActive: return context.say("active", "有效");
    case gateway::KeyState::kExpired: return context.say("expired", "已过期");
    case gateway::KeyState::kRevoked: return context.say("revoked", "已撤销");
  }
  return "";
}

std::string expiry_text(const Context& context, const KeyView& view) {
  return view.expires_us.has_value() ? time_text(*view.expires_us) : std::string(context.say("never", "永不"));
}

std::string used_text(const Context& context, std::int64_t used_us) {
  return used_us > 0 ? time_text(used_us) : std::string(context.say("never", "从未"));
}

// The one time the key is shown. Alone where something else reads it: KEY=$(dormouse keys create --name app).
void print_issued(const Context& context, const gateway::IssuedKey& issued, Format format) {
  if (format == Format::kJson) {
    fmt::print("{}\n", to_json(issued));
    return;
  }
  if (!context.terminal) {
    fmt::print("{}\n", issued.key);
    return;
  }
  const KeyView& view = issued.view;
  fmt::print("{}\n\n  {}\n\n", context.say("The key, shown this once; keep it now:", "密钥只显示这一次，请立即保存："),
             issued.key);
  fmt::print(fmt::runtime(context.say("  name {}, id {}, scope {}, models {}, limits {}, expires {}\n",
                                      "  名称 {}，标识 {}，权限 {}，模型 {}，限额 {}，到期 {}\n")),
             view.name, view.kid, gateway::to_string(view.scope), models_text(view), limits_text(context, view),
             expiry_text(context, view));
  if (view.previous_hint.empty()) return;
  fmt::print(fmt::runtime(context.say("  the old one (…{}) is good until {}\n", "  旧密钥（…{}）有效至 {}\n")),
             view.previous_hint, time_text(view.previous_until_us));
}

void create(Context& context, const WishFlags& flags, Format format) {
  const Result<KeyWish> wish = wish_of(flags);
  if (!wish.has_value()) return fail(context, wish.error(), kExitUsage);
  const std::unique_ptr<KeyDesk> desk = open_desk(context);
  if (desk == nullptr) return;
  const Result<gateway::IssuedKey> issued = desk->create(*wish);
  if (!issued.has_value()) return fail(context, issued.error());
  print_issued(context, *issued, format);
}

void rotate(Context& context, const std::string& text, const std::string& overlap, const std::string& expires,
            Format format) {
  const Result<std::string> kid = kid_argument(context, text);
  if (!kid.has_value()) return fail(context, kid.error(), kExitUsage);
  gateway::Rotation rotation;
  const Result<std::chrono::milliseconds> wait = gateway::parse_overlap(overlap);
  if (!wait.has_value()) return fail(context, wait.error(), kExitUsage);
  rotation.overlap = *wait;
  if (!expires.empty()) {
    const Result<gateway::Expiry> expiry = gateway::parse_expiry(expires);
    if (!expiry.has_value()) return fail(context, expiry.error(), kExitUsage);
    rotation.expires = *expiry;
  }
  const std::unique_ptr<KeyDesk> desk = open_desk(context);
  if (desk == nullptr) return;
  const Result<gateway::IssuedKey> issued = desk->rotate(*kid, rotation);
  if (!issued.has_value()) return fail(context, issued.error());
  print_issued(context, *issued, format);
}

void print_view(Context& context, KeyDesk& desk, const std::string& kid) {
  const Result<std::vector<KeyView>> keys = desk.list();
  if (!keys.has_value()) return fail(context, keys.error());
  for (const KeyView& view : *keys) {
    if (view.kid == kid) fmt::print("{}\n", to_json(view));
  }
}

void set(Context& context, const std::string& text, const WishFlags& flags, Format format) {
  const Result<std::string> kid = kid_argument(context, text);
  if (!kid.has_value()) return fail(context, kid.error(), kExitUsage);
  const Result<KeyWish> wish = wish_of(flags);
  if (!wish.has_value()) return fail(context, wish.error(), kExitUsage);
  const std::unique_ptr<KeyDesk> desk = open_desk(context);
  if (desk == nullptr) return;
  const Status changed = desk->change(*kid, *wish);
  if (!changed.has_value()) return fail(context, changed.error());
  if (format == Format::kJson) return print_view(context, *desk, *kid);
  fmt::print(fmt::runtime(context.say("{}: changed\n", "{}：已修改\n")), *kid);
}

void revoke(Context& context, const std::string& text, bool children, Format format) {
  const Result<std::string> kid = kid_argument(context, text);
  if (!kid.has_value()) return fail(context, kid.error(), kExitUsage);
  const std::unique_ptr<KeyDesk> desk = open_desk(context);
  if (desk == nullptr) return;
  const Result<std::vector<std::string>> revoked =
      desk->revoke(*kid, children ? gateway::Children::kRevoke : gateway::Children::kKeep);
  if (!revoked.has_value()) return fail(context, revoked.error());
  if (format == Format::kJson) {
    fmt::print("{{\"revoked\":[\"{}\"]}}\n", fmt::join(*revoked, "\",\""));  // kids are letters and digits
    return;
  }
  for (const std::string& gone : *revoked) {
    fmt::print(
        fmt::runtime(context.say("{}: revoked, its running answers are cut\n", "{}：已撤销，正在进行的回答已中断\n")),
        gone);
  }
}

Table make_table(const Context& context, const std::vector<KeyView>& keys) {
  const bool zh = context.language == Language::kChinese;
  std::vector<std::string> header =
      zh ? std::vector<std::string>{"名称", "密钥", "权限", "模型", "限额", "创建", "到期", "最近使用", "状态"}
         : std::vector<std::string>{"NAME",    "KEY",     "SCOPE",     "MODELS", "LIMITS",
                                    "CREATED", "EXPIRES", "LAST USED", "STATE"};
  Table table(header, std::vector<Table::Align>(header.size(), Table::Align::kLeft));
  for (const KeyView& v : keys) {
    table.add({v.name, fmt::format("{}…{}", v.prefix, v.hint), std::string(gateway::to_string(v.scope)), models_text(v),
               limits_text(context, v), time_text(v.created_us), expiry_text(context, v), used_text(context, v.used_us),
               std::string(state_text(context, v.state))});
  }
  return table;
}

void list(Context& context, Format format) {
  const std::unique_ptr<KeyDesk> desk = open_desk(context);
  if (desk == nullptr) return;
  const Result<std::vector<KeyView>> keys = desk->list();
  if (!keys.has_value()) return fail(context, keys.error());
  if (format == Format::kJson) {
    fmt::print("{}\n", to_json(gateway::KeyPage{*keys, ""}));
    return;
  }
  if (keys->empty()) {
    fmt::print("{}\n",
               context.say("no keys: this machine may ask without one; `dormouse keys create --name app` makes one",
                           "还没有密钥：本机可直接访问；用 `dormouse keys create --name app` 创建"));
    return;
  }
  fmt::print("{}", make_table(context, *keys).fitted(stdout_columns()));
  for (const KeyView& v : *keys) {
    if (v.previous_hint.empty()) continue;
    fmt::print(fmt::runtime(context.say("! {}: its old secret (…{}) is good until {}, last used: {}\n",
                                        "! {}：旧密钥（…{}）有效至 {}，最近使用：{}\n")),
               v.prefix, v.previous_hint, time_text(v.previous_until_us), used_text(context, v.previous_used_us));
  }
}

void add_limits(CLI::App& verb, const Context& context, WishFlags& flags) {
  const auto say = [&context](const char* en, const char* zh) { return std::string(context.say(en, zh)); };
  verb.add_option("--models", flags.models,
                  say("deployments it may use, comma-separated; * for all", "可用的部署，以逗号分隔；* 表示全部"))
      ->delimiter(',');
  verb.add_option("--rpm", flags.rpm, say("requests a minute, 0 for no limit", "每分钟请求数，0 表示不限"));
  verb.add_option("--tpm", flags.tpm,
                  say("tokens a minute, prompt and answer, 0 for no limit", "每分钟词元数（输入与输出），0 表示不限"));
  verb.add_option("--concurrency", flags.concurrency,
                  say("requests at once, 0 for no limit", "并发请求数，0 表示不限"));
  verb.add_option("--budget", flags.budget, say("50CNY/month, 0.5USD/day or none", "50CNY/month、0.5USD/day 或 none"));
  verb.add_option("--expires", flags.expires, say("90d, 12h or never (default: 90d)", "90d、12h 或 never（默认 90d）"));
}

void add_format(CLI::App& verb, const std::shared_ptr<std::string>& format) {
  verb.add_option("--format", *format, "text, json")->check(CLI::IsMember({"text", "json"}))->capture_default_str();
}

Format format_of(const std::string& text) {
  return text == "json" ? Format::kJson : Format::kText;
}

void add_create(CLI::App& keys, Context& context) {
  auto flags = std::make_shared<WishFlags>();
  flags->scope = "inference";
  auto format = std::make_shared<std::string>("text");
  CLI::App* verb =
      keys.add_subcommand("create", std::string(context.say("make a key; it is shown once", "创建密钥，只显示一次")));
  verb->add_option("--name", flags->name, std::string(context.say("who or what it is for", "用途或使用者")))
      ->required();
  verb->add_option("--scope", flags->scope,
                   std::string(context.say("inference: ask models; read: look; admin: look and change",
                                           "inference：调用模型；read：查看；admin：查看与修改")))
      ->check(CLI::IsMember({"inference", "read", "admin"}))
      ->capture_default_str();
  add_limits(*verb, context, *flags);
  add_format(*verb, format);
  verb->footer(std::string(context.say(
      "Examples:\n  dormouse keys create --name app\n"
      "  dormouse keys create --name app --models chat --rpm 60 --tpm 20000 --concurrency 4 --budget 50CNY/month\n"
      "  KEY=$(dormouse keys create --name ci --expires 1h)\n"
      "  dormouse keys create --name ops --scope admin --expires never",
      "示例：\n  dormouse keys create --name app\n"
      "  dormouse keys create --name app --models chat --rpm 60 --tpm 20000 --concurrency 4 --budget 50CNY/month\n"
      "  KEY=$(dormouse keys create --name ci --expires 1h)\n"
      "  dormouse keys create --name ops --scope admin --expires never")));
  verb->callback([&context, flags, format] { create(context, *flags, format_of(*format)); });
}

void add_list(CLI::App& keys, Context& context) {
  auto format = std::make_shared<std::string>("text");
  CLI::App* verb =
      keys.add_subcommand("list", std::string(context.say("all keys, never their secrets", "列出密钥（不含密文）")));
  add_format(*verb, format);
  verb->footer(std::string(context.say("Examples:\n  dormouse keys list\n  dormouse keys list --format json",
                                       "示例：\n  dormouse keys list\n  dormouse keys list --format json")));
  verb->callback([&context, format] { list(context, format_of(*format)); });
}

void add_kid(CLI::App& verb, const Context& context, std::string& kid) {
  verb.add_option("KID", kid, std::string(context.say("the key, as in `keys list`", "密钥标识，见 `keys list`")))
      ->required();
}

void add_set_key(CLI::App& keys, Context& context) {
  auto kid = std::make_shared<std::string>();
  auto flags = std::make_shared<WishFlags>();
  CLI::App* verb = keys.add_subcommand("set", std::string(context.say("change a key's bounds", "修改密钥的限制")));
  add_kid(*verb, context, *kid);
  verb->add_option("--name", flags->name, std::string(context.say("another name", "新名称")));
  add_limits(*verb, context, *flags);
  auto format = std::make_shared<std::string>("text");
  add_format(*verb, format);
  verb->footer(std::string(context.say("Example:\n  dormouse keys set Kid0000001 --rpm 120 --budget none",
                                       "示例：\n  dormouse keys set Kid0000001 --rpm 120 --budget none")));
  verb->callback([&context, kid, flags, format] { set(context, *kid, *flags, format_of(*format)); });
}

void add_rotate(CLI::App& keys, Context& context) {
  auto kid = std::make_shared<std::string>();
  auto overlap = std::make_shared<std::string>("24h");
  auto expires = std::make_shared<std::string>();
  auto format = std::make_shared<std::string>("text");
  CLI::App* verb = keys.add_subcommand(
      "rotate",
      std::string(context.say("a new secret; the old one is good for a while", "更换密钥，旧密钥保留一段时间")));
  add_kid(*verb, context, *kid);
  verb->add_option(
          "--overlap", *overlap,
          std::string(context.say("how long the old secret stays good, 0s to 7d", "旧密钥的保留时间，0s 到 7d")))
      ->capture_default_str();
  verb->add_option("--expires", *expires,
                   std::string(context.say("90d or never; default: as long again", "90d 或 never；默认与原期限相同")));
  add_format(*verb, format);
  verb->footer(std::string(context.say(
      "Examples:\n  dormouse keys rotate Kid0000001\n  dormouse keys rotate Kid0000001 --overlap 0s   (it leaked)",
      "示例：\n  dormouse keys rotate Kid0000001\n  dormouse keys rotate Kid0000001 --overlap 0s   （已泄露）")));
  verb->callback(
      [&context, kid, overlap, expires, format] { rotate(context, *kid, *overlap, *expires, format_of(*format)); });
}

void add_revoke(CLI::App& keys, Context& context) {
  auto kid = std::make_shared<std::string>();
  auto children = std::make_shared<bool>(false);
  CLI::App* verb =
      keys.add_subcommand("revoke", std::string(context.say("end a key, at once and for good", "立即且永久撤销密钥")));
  add_kid(*verb, context, *kid);
  verb->add_flag("--children", *children,
                 std::string(context.say("and the keys made with it", "连同由它创建的密钥一起撤销")));
  auto format = std::make_shared<std::string>("text");
  add_format(*verb, format);
  verb->footer(std::string(context.say("Example:\n  dormouse keys revoke Kid0000001 --children",
                                       "示例：\n  dormouse keys revoke Kid0000001 --children")));
  verb->callback([&context, kid, children, format] { revoke(context, *kid, *children, format_of(*format)); });
}

}  // namespace

void add_keys(CLI::App& app, Context& context) {
  CLI::App* keys =
      app.add_subcommand("keys", std::string(context.say("who may ask: API keys", "访问密钥：谁可以调用")));
  keys->require_subcommand(1);
  add_create(*keys, context);
  add_list(*keys, context);
  add_set_key(*keys, context);
  add_rotate(*keys, context);
  add_revoke(*keys, context);
  for (CLI::App* verb : keys->get_subcommands({})) verb->fallthrough();
  keys->footer(std::string(
      context.say("Once there is a key, TCP wants one; run/admin.sock and this program never do.\n"
                  "Examples:\n  dormouse keys create --name app --models chat --rpm 60\n  dormouse keys list",
                  "有了密钥之后，TCP 访问就需要密钥；run/admin.sock 与本程序始终不需要。\n"
                  "示例：\n  dormouse keys create --name app --models chat --rpm 60\n  dormouse keys list")));
}

}  // namespace dormouse::cli
