#include "cli/exit_codes.h"

#include <fmt/format.h>

#include <array>

#include "cli/context.h"
#include "cli/table.h"

namespace dormouse::cli {
namespace {

constexpr std::array<ExitCode, 6> kCodes{
    {{0, "done", "完成"},
     {kExitFailed, "failed", "失败"},
     {kExitUsage, "wrong usage", "用法错误"},
     {kExitNoServer, "no server is running", "服务未运行"},
     {kExitConfig, "an address open to others without a key or TLS", "对外地址缺少密钥或 TLS"},
     {kExitInterrupted, "ended by Ctrl-C", "被 Ctrl-C 中断"}}};

}  // namespace

std::span<const ExitCode> exit_codes() {
  return kCodes;
}

std::string exit_codes_text(Language language, std::size_t columns) {
  const bool zh = language == Language::kChinese;
  std::string out = zh ? "退出码：" : "Exit codes: ";
  for (const ExitCode& row : kCodes) {
    if (row.code != 0) out += zh ? "，" : ", ";
    out += fmt::format("{} {}", row.code, zh ? row.chinese : row.english);
  }
  return wrapped(out + (zh ? "。" : "."), columns, 2);
}

}  // namespace dormouse::cli
