// The verb `images`: the gallery as a table, one image as a card.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "cli/admin_client.h"
#include "cli/image_text.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "gateway/admin/images_wire.h"

namespace dormouse::cli {
namespace {

struct ImagesFlags {
  std::vector<std::string> words;
  std::string models_dir;
  std::string format = "table";
};

// A name with its tag, or a file's, means that one image; other words are looked for.
const catalog::Image* one_image(const catalog::Catalog& gallery, const std::string& query) {
  const bool is_whole = query.find(':') != std::string::npos || query.ends_with(".gguf");
  return is_whole ? gallery.find(query) : nullptr;
}

void images(Context& context, const ImagesFlags& flags) {
  const std::string query = fmt::format("{}", fmt::join(flags.words, " "));
  const Result<catalog::Catalog> gallery = read_gallery(context);
  if (!gallery.has_value()) return report_failure(context, gallery.error());
  const std::vector<std::string> directories =
      catalog::model_directories(flags.models_dir, context.data_dir, context.program_dir);
  const catalog::Image* const one = one_image(*gallery, query);
  if (flags.format == "json") {
    fmt::print("{}\n", one != nullptr ? gateway::image_json(*one, directories)
                                      : gateway::images_json(*gallery, query, directories, {}));
    return;
  }
  if (one != nullptr) {
    fmt::print("{}", image_card(*one, catalog::Catalog::find_local(*one, directories), context.language));
    return;
  }
  std::vector<ImageRow> rows;
  for (const catalog::Image* image : gallery->search(query)) {
    const bool is_here = !catalog::Catalog::find_local(*image, directories).empty();
    rows.push_back({image, is_here ? ImageRow::Place::kHere : ImageRow::Place::kElsewhere});
  }
  if (rows.empty()) {
    fmt::print("{}\n", context.say("nothing in the gallery matches; `dormouse images` lists it all",
                                   "没有匹配的镜像；`dormouse images` 列出全部"));
    context.exit_code = kExitFailed;
    return;
  }
  fmt::print("{}", image_table(rows, stdout_columns(), context.language));
}

}  // namespace

void add_images(CLI::App& app, Context& context) {
  auto flags = std::make_shared<ImagesFlags>();
  CLI::App* verb = app.add_subcommand("images", std::string(context.say("the gallery", "镜像列表")));
  verb->add_option("QUERY", flags->words,
                   std::string(context.say("words to look for, any language; NAME:TAG shows its card",
                                           "搜索词，中英文均可；给出 名称:标签 则显示详情")));
  verb->add_option("--models-dir", flags->models_dir,
                   std::string(context.say("where model files lie", "模型文件目录")));
  verb->add_option("--format", flags->format, "table, json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  verb->footer(std::string(context.say(
      "Examples:\n  dormouse images 通义千问\n  dormouse images \"4b high concurrency\"\n"
      "  dormouse images qwen3-4b:q4_k_m\nYour own: DATA_DIR/images.toml (docs/images.md).",
      "示例：\n  dormouse images 通义千问\n  dormouse images \"4b 高并发\"\n  dormouse images qwen3-4b:q4_k_m\n"
      "自己的镜像写在 数据目录/images.toml（见 docs/images.md）。")));
  verb->callback([&context, flags] { images(context, *flags); });
}

}  // namespace dormouse::cli
