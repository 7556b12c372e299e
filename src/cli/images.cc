#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "catalog/catalog.h"
#include "cli/admin_client.h"
#include "cli/table.h"
#include "cli/verbs.h"

namespace dormouse::cli {
namespace {

std::string size_text(const std::string& path) {
  std::error_code ec;
  const std::uintmax_t bytes = std::filesystem::file_size(path, ec);
  if (ec) return "?";
  if (bytes < 1'000'000'000) return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
  return fmt::format("{:.2f} GB", static_cast<double>(bytes) / 1e9);
}

void images(Context& context, const std::string& query, const std::string& models_dir) {
  const Result<catalog::Catalog> gallery = catalog::Catalog::built_in();
  if (!gallery.has_value()) return report_failure(context, gallery.error());
  const std::vector<std::string> directories =
      catalog::model_directories(models_dir, context.data_dir, context.program_dir);
  const bool zh = context.language == Language::kChinese;
  using Align = Table::Align;
  Table table(zh ? std::vector<std::string>{"镜像", "量化", "大小", "说明"}
                 : std::vector<std::string>{"IMAGE", "QUANT", "SIZE", "WHAT"},
              {Align::kLeft, Align::kLeft, Align::kRight, Align::kLeft});
  const std::vector<const catalog::Image*> found = gallery->search(query);
  for (const catalog::Image* image : found) {
    const Result<catalog::ResolvedImage> file = gallery->resolve(image->reference(), directories);
    const std::string size = file.has_value() ? size_text(file->path) : std::string(context.say("not here", "未下载"));
    table.add({image->reference(), image->quantisation, size, zh ? image->title_zh : image->title_en});
  }
  if (found.empty()) {
    fmt::print("{}\n", context.say("nothing in the gallery matches; `dormouse images` lists it all",
                                   "没有匹配的镜像；`dormouse images` 列出全部"));
    context.exit_code = kExitFailed;
    return;
  }
  fmt::print("{}", table.text());
}

}  // namespace

void add_images(CLI::App& app, Context& context) {
  auto query = std::make_shared<std::string>();
  auto models_dir = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand("images", std::string(context.say("the gallery", "镜像列表")));
  verb->add_option("QUERY", *query, std::string(context.say("words to look for, any language", "搜索词，中英文均可")));
  verb->add_option("--models-dir", *models_dir, std::string(context.say("where model files lie", "模型文件目录")));
  verb->footer(std::string(context.say("Example:\n  dormouse images 通义千问", "示例：\n  dormouse images 通义千问")));
  verb->callback([&context, query, models_dir] { images(context, *query, *models_dir); });
}

}  // namespace dormouse::cli
