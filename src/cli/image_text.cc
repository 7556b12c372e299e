#include "cli/image_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "catalog/config_file.h"
#include "cli/table.h"

namespace dormouse::cli {
namespace {

constexpr std::string_view kEllipsis = "…";

// Whole characters, at most so many columns.
std::string cut(std::string_view text, std::size_t columns) {
  if (display_width(text) <= columns) return std::string(text);
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t next = at + 1;
    while (next < text.size() && (static_cast<unsigned char>(text[next]) & 0xC0U) == 0x80U) ++next;
    const std::string longer = fmt::format("{}{}", out, text.substr(at, next - at));
    if (display_width(longer) + 1 > columns) break;
    out = longer;
    at = next;
  }
  return fmt::format("{}{}", out, kEllipsis);
}

std::string bytes_words(const catalog::Image& image, std::int64_t bytes) {
  if (bytes == 0) return "?";
  return (image.size == catalog::Image::Size::kEstimated ? "~" : "") + size_words(bytes);
}

// 0.0223: 2.2 %.
std::string percent(double share) {
  const double value = share * 100;
  const double size = value < 0 ? -value : value;
  return fmt::format("{:.{}f} %", value, size >= 10 ? 0 : size >= 0.1 || size == 0 ? 1 : 2);
}

std::string published_words(const catalog::PublishedLoss& loss, Language language) {
  const bool zh = language == Language::kChinese;
  std::vector<std::string> parts;
  if (loss.kld.has_value()) {
    constexpr double kLeast = 0.001;  // three decimals are more than a text's choice leaves sure
    parts.push_back(*loss.kld >= kLeast ? fmt::format("{:.3f} nats", *loss.kld)
                                        : std::string(zh ? "不到 0.001 nats" : "under 0.001 nats"));
  }
  if (loss.same_top.has_value()) {
    parts.push_back(zh ? fmt::format("首选一致 {:.1f} %", *loss.same_top * 100)
                       : fmt::format("{:.1f} % same first choice", *loss.same_top * 100));
  }
  if (loss.perplexity_rise.has_value()) {
    parts.push_back(fmt::format("{} {}{}", zh ? "困惑度" : "perplexity", *loss.perplexity_rise >= 0 ? "+" : "",
                                percent(*loss.perplexity_rise)));
  }
  return fmt::format("{}{}{}", loss.of, zh ? "：" : ": ", fmt::join(parts, zh ? "，" : ", "));
}

// Two things that are never one: what was measured of these weights, and what others published of the quantisation.
std::string loss_words(const catalog::Image& image, Language language) {
  const bool zh = language == Language::kChinese;
  std::vector<std::string> published;
  for (const catalog::PublishedLoss& loss : image.published_losses)
    published.push_back(published_words(loss, language));
  const std::string measured = image.kld.has_value() ? fmt::format("{}{} nats", zh ? "实测 " : "measured: ", *image.kld)
                                                     : std::string(zh ? "本项目未实测" : "not measured here");
  if (published.empty()) return measured;
  return fmt::format("{}{}{}{}", zh ? "公开数据 " : "published for ", fmt::join(published, zh ? "；" : "; "),
                     zh ? "；" : "; ", measured);
}

std::string how_to_get(const catalog::Image& image, const std::string& path, Language language) {
  const bool zh = language == Language::kChinese;
  if (!path.empty()) {
    return fmt::format("{}\n            dormouse deploy {} --on local", path, image.reference());
  }
  if (!image.upstream.empty()) {
    return fmt::format(
        "dormouse deploy {} --on TYPE\n            {}", image.reference(),
        fmt::format(fmt::runtime(zh ? "首次启动时由 {} 自行下载 {}" : "{} fetches {} at its first start"),
                    image.runtimes.front(), image.upstream));
  }
  return fmt::format("dormouse pull {}", image.reference());
}

}  // namespace

Result<catalog::Catalog> read_gallery(const Context& context) {
  std::vector<catalog::Image> configured;
  const Result<catalog::ConfigFile> config = catalog::read_config(context.data_dir + "/dormouse.toml");
  if (config.has_value()) {
    configured = config->images;
  } else if (config.error().code != Code::kNotFound) {
    return config.error();
  }
  return catalog::Catalog::of_installation(context.data_dir, configured);
}

std::string size_words(std::int64_t bytes) {
  if (bytes < 1'000'000'000) return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
  return fmt::format("{:.2f} GB", static_cast<double>(bytes) / 1e9);
}

std::string image_table(const std::vector<ImageRow>& rows, std::size_t columns, Language language) {
  const bool zh = language == Language::kChinese;
  using Align = Table::Align;
  const std::vector<std::string> header = zh ? std::vector<std::string>{"镜像", "大小", "内存", "本机", "适合"}
                                             : std::vector<std::string>{"IMAGE", "SIZE", "MEMORY", "HERE", "FOR"};
  std::vector<std::vector<std::string>> cells;
  for (const ImageRow& row : rows) {
    const catalog::Image& image = *row.image;
    const bool is_here = row.place == ImageRow::Place::kHere;
    cells.push_back({image.reference(), bytes_words(image, image.bytes), bytes_words(image, image.memory_bytes()),
                     is_here ? (zh ? "有" : "yes") : "-", zh ? image.suits_zh : image.suits_en});
  }
  std::size_t used = 0;
  for (std::size_t i = 0; i + 1 < header.size(); ++i) {
    std::size_t widest = display_width(header[i]);
    for (const auto& row : cells) widest = std::max(widest, display_width(row[i]));
    used += widest + 2;
  }
  constexpr std::size_t kLeast = 12;  // columns of the last one; below that it is better wrapped by the terminal
  const std::size_t left = columns > used + kLeast ? columns - used : kLeast;
  Table table(header, {Align::kLeft, Align::kRight, Align::kRight, Align::kLeft, Align::kLeft});
  for (std::vector<std::string>& row : cells) {
    row.back() = cut(row.back(), left);
    table.add(std::move(row));
  }
  return table.text();
}

std::string image_card(const catalog::Image& image, const std::string& path, Language language) {
  const bool zh = language == Language::kChinese;
  std::string out = fmt::format("{}\n{}\n", image.reference(), zh ? image.title_zh : image.title_en);
  const auto line = [&out, zh](std::string_view en, std::string_view chinese, const std::string& text) {
    if (text.empty()) return;
    const std::string_view label = zh ? chinese : en;
    const std::size_t width = display_width(label);
    out += fmt::format("  {}{}{}\n", label, std::string(width < 10 ? 10 - width : 1, ' '), text);
  };
  line("what", "说明", zh ? image.summary_zh : image.summary_en);
  line("for", "适合", zh ? image.suits_zh : image.suits_en);
  line("model", "模型", fmt::format("{} {}", image.parameters, image.quantisation));
  line("runtimes", "运行时", fmt::format("{}", fmt::join(image.runtimes, ", ")));
  line("size", "大小", bytes_words(image, image.bytes));
  line("memory", "内存",
       image.bytes == 0 ? std::string("?")
                        : bytes_words(image, image.memory_bytes()) +
                              (zh ? "（4,096 词元的一路对话；GPU 上约多 1.1 GB）"
                                  : " (one conversation of 4,096 tokens; about 1.1 GB more on a GPU)"));
  line("context", "上下文", image.context == 0 ? std::string() : grouped(image.context) + (zh ? " 词元" : " tokens"));
  line("loss", "质量损失", loss_words(image, language));
  for (const catalog::PublishedLoss& loss : image.published_losses) line("loss from", "损失出处", loss.source);
  line("licence", "许可证", image.licence);
  const std::string file = image.hub_file.empty() ? image.file : image.hub_file;
  if (!image.huggingface.empty()) line("from", "来源", fmt::format("Hugging Face {} {}", image.huggingface, file));
  if (!image.modelscope.empty()) line("from", "来源", fmt::format("ModelScope {} {}", image.modelscope, file));
  line("sha256", "sha256", image.sha256);
  line(path.empty() ? "get it" : "here", path.empty() ? "获取" : "本机", how_to_get(image, path, language));
  return out;
}

}  // namespace dormouse::cli
