// Goal: a person and a script hear how far a pull is, with units, in both languages; a table and a card fit and name
// everything. Method: values in, text out.
#include "cli/pull_text.h"

#include <gtest/gtest.h>

#include "cli/image_text.h"
#include "cli/table.h"

namespace dormouse::cli {
namespace {

using Stage = catalog::PullProgress::Stage;

TEST(PullText, SaysHowFarItIsAndHowLongItTakes) {
  const catalog::PullProgress progress{.stage = Stage::kLoading,
                                       .source = "huggingface",
                                       .done = 1'125'000'000,
                                       .total = 2'500'000'000,
                                       .bytes_per_second = 50e6};
  EXPECT_EQ(pull_words(progress, Language::kEnglish),
            "loading  45 %  1.12 GB / 2.50 GB  50.0 MB/s  28 s left  huggingface");
  EXPECT_EQ(pull_words(progress, Language::kChinese),
            "下载  45 %  1.12 GB / 2.50 GB  50.0 MB/s  剩余 28 秒  huggingface");
  EXPECT_EQ(pull_words({}, Language::kEnglish), "asking where it is");
  EXPECT_EQ(pull_json(progress),
            R"({"event":"progress","stage":"loading","source":"huggingface","done":1125000000,"total":2500000000,)"
            R"("resumed":0,"bytes_per_second":50000000,"seconds_left":2.75E1})");
}

TEST(PullText, TheEndSaysWhereFromHowFastAndWhere) {
  const catalog::Pulled pulled{"/m/a.gguf", "modelscope", "ab", 2'500'000'000, catalog::Pulled::How::kLoaded};
  EXPECT_EQ(pulled_words(pulled, "a:b", 50, Language::kEnglish),
            "a:b: 2.50 GB from modelscope in 50 s (50.0 MB/s)\n  sha256 ab\n  /m/a.gguf\n");
  EXPECT_NE(pulled_words(pulled, "a:b", 50, Language::kChinese).find("来自 modelscope，用时 50 秒"), std::string::npos);
  const catalog::Pulled was{"/m/a.gguf", "", "", 7, catalog::Pulled::How::kWasThere};
  EXPECT_EQ(pulled_words(was, "a:b", 0, Language::kEnglish), "a:b: it is here already (0.0 MB)\n  /m/a.gguf\n");
}

TEST(PullText, LinesThatStayComeAtEachTenth) {
  PullSteps steps;
  int lines = 0;
  for (int percent = 0; percent <= 100; ++percent) {
    lines += steps.is_due({.stage = Stage::kLoading, .done = percent, .total = 100}) ? 1 : 0;
  }
  EXPECT_EQ(lines, 11);
  EXPECT_TRUE(steps.is_due({.stage = Stage::kChecking, .done = 100, .total = 100}));
}

TEST(ImageText, ATableFitsItsTerminal) {
  const catalog::Catalog gallery = catalog::Catalog::built_in().value();
  std::vector<ImageRow> rows;
  for (const catalog::Image& image : gallery.images()) rows.push_back({&image});
  for (const Language language : {Language::kEnglish, Language::kChinese}) {
    const std::string table = image_table(rows, 100, language);
    std::size_t begin = 0;
    std::size_t lines = 0;
    for (std::size_t end = 0; (end = table.find('\n', begin)) != std::string::npos; begin = end + 1, ++lines) {
      EXPECT_LE(display_width(std::string_view(table).substr(begin, end - begin)), 100U);
    }
    EXPECT_EQ(lines, rows.size() + 1);
    EXPECT_NE(image_table(rows, 1'000, language).find(language == Language::kEnglish ? "high concurrency" : "高并发"),
              std::string::npos);
  }
}

TEST(ImageText, ACardSaysHowToGetIt) {
  const catalog::Catalog gallery = catalog::Catalog::built_in().value();
  const catalog::Image& four = *gallery.find("qwen3-4b");
  const std::string card = image_card(four, "", Language::kEnglish);
  for (const char* const said :
       {"dormouse pull qwen3-4b:q4_k_m", "2.50 GB", "3.17 GB", "not measured here", "apache-2.0",
        "Hugging Face Qwen/Qwen3-4B-GGUF", "ModelScope Qwen/Qwen3-4B-GGUF", "beginners"}) {
    EXPECT_NE(card.find(said), std::string::npos) << said << "\n" << card;
  }
  EXPECT_NE(image_card(four, "/m/x.gguf", Language::kChinese).find("dormouse deploy qwen3-4b:q4_k_m"),
            std::string::npos);
  EXPECT_NE(image_card(*gallery.find("qwen3-4b-vllm"), "", Language::kEnglish).find("Qwen/Qwen3-4B at its first start"),
            std::string::npos);
}

TEST(ImageText, WhatOthersPublishedIsNeverSaidAsMeasured) {
  const catalog::Catalog gallery = catalog::Catalog::built_in().value();
  const auto loss_line = [](const catalog::Image& image, Language language) {
    const std::string card = image_card(image, "", language);
    const std::size_t at = card.find(language == Language::kChinese ? "质量损失" : "  loss ");
    return card.substr(at, card.find('\n', at) - at);
  };
  catalog::Image four = *gallery.find("qwen3-4b");
  EXPECT_EQ(loss_line(four, Language::kEnglish),
            "  loss      published for Llama 3 8B: 0.031 nats, 91.9 % same first choice, perplexity +2.8 %; "
            "Qwen3-4B: perplexity +2.2 %; not measured here");
  EXPECT_EQ(loss_line(four, Language::kChinese),
            "质量损失  公开数据 Llama 3 8B：0.031 nats，首选一致 91.9 %，困惑度 +2.8 %；Qwen3-4B：困惑度 +2.2 "
            "%；本项目未实测");
  EXPECT_NE(image_card(four, "", Language::kEnglish).find("loss from https://github.com/ggml-org/llama.cpp/"),
            std::string::npos);
  EXPECT_NE(loss_line(*gallery.find("qwen3-4b:f16"), Language::kEnglish).find("under 0.001 nats"), std::string::npos);
  EXPECT_EQ(loss_line(*gallery.find("qwen3-4b-vllm:awq"), Language::kEnglish), "  loss      not measured here");
  four.kld = 0.0286;
  EXPECT_TRUE(loss_line(four, Language::kEnglish).ends_with("; measured: 0.0286 nats"));
  EXPECT_TRUE(loss_line(four, Language::kChinese).ends_with("；实测 0.0286 nats"));
}

}  // namespace
}  // namespace dormouse::cli
