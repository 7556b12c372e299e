// Goal: words, columns and numbers a person reads come out right in both languages. Method: tables; no process, no I/O.
#include <gtest/gtest.h>

#include "cli/table.h"
#include "cli/words.h"
#include "cli/worker_doctor.h"

namespace dormouse::cli {
namespace {

TEST(Words, TheFlagWinsOverTheLocale) {
  EXPECT_EQ(choose_language("zh", "", "", "en_US.UTF-8"), Language::kChinese);
  EXPECT_EQ(choose_language("en", "zh_CN.UTF-8", "", "zh_CN.UTF-8"), Language::kEnglish);
  EXPECT_EQ(choose_language("", "", "", "zh_CN.UTF-8"), Language::kChinese);
  EXPECT_EQ(choose_language("", "C", "", "zh_CN.UTF-8"), Language::kEnglish);
  EXPECT_EQ(choose_language("", "", "zh_TW", "C"), Language::kChinese);
  EXPECT_EQ(choose_language("", "", "", ""), Language::kEnglish);
}

TEST(Words, StartingAndLoadingAreWaking) {
  EXPECT_EQ(state_word("starting", Language::kEnglish), "waking");
  EXPECT_EQ(state_word("loading", Language::kChinese), "唤醒中");
  EXPECT_EQ(state_word("asleep", Language::kChinese), "休眠");
  EXPECT_EQ(state_word("something new", Language::kEnglish), "something new");
}

TEST(Words, WhyItIsAwake) {
  EXPECT_EQ(reason_word("window", Language::kEnglish), "window");
  EXPECT_EQ(reason_word("window", Language::kChinese), "运行时段");
  EXPECT_EQ(reason_word("", Language::kChinese), "");
  EXPECT_EQ(reason_word("something new", Language::kChinese), "something new");
}

TEST(Words, DurationsReadAsAPersonSaysThem) {
  EXPECT_EQ(duration_words(8.2, Language::kEnglish), "8 s");
  EXPECT_EQ(duration_words(600, Language::kEnglish), "10 min");
  EXPECT_EQ(duration_words(600, Language::kChinese), "10 分钟");
  EXPECT_EQ(duration_words(3 * 3600 + 300, Language::kEnglish), "3 h 5 min");
  EXPECT_EQ(duration_words(7200, Language::kEnglish), "2 h");
}

TEST(Table, AChineseCharacterTakesTwoColumns) {
  EXPECT_EQ(display_width("abc"), 3U);
  EXPECT_EQ(display_width("睡鼠"), 4U);
  EXPECT_EQ(display_width("a·b"), 3U);
  EXPECT_EQ(display_width("é"), 1U);
  Table table({"部署", "N"}, {Table::Align::kLeft, Table::Align::kRight});
  table.add({"demo", "1"});
  table.add({"长名称", "12"});
  EXPECT_EQ(table.text(), "部署     N\ndemo     1\n长名称  12\n");
}

TEST(Table, CsvQuotesWhatNeedsIt) {
  Table table({"a", "b"}, {Table::Align::kLeft, Table::Align::kLeft});
  table.add({"x,y", "say \"hi\""});
  EXPECT_EQ(table.csv(), "a,b\r\n\"x,y\",\"say \"\"hi\"\"\"\r\n");
}

TEST(Table, NumbersAreGrouped) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1'234'567), "1,234,567");
  EXPECT_EQ(grouped(-1'000), "-1,000");
}

TEST(WorkerDoctor, ReadsWhatTheWorkerSaysOfGpus) {
  const Result<WorkerGpus> gpus = parse_worker_gpus(
      R"({"kernels_for":"7.5, 9.0","driver":"13.0","problem":"","gpus":[)"
      R"({"name":"NVIDIA T4","compute":"7.5","memory_bytes":15828320256,"has_kernels":true,"is_tested":false},)"
      R"({"name":"NVIDIA H200","compute":"9.0","has_kernels":true,"is_tested":true,"is_sampling_tested":true,)"
      R"("untested_paths":"one-row,whole-step"}]})");
  ASSERT_TRUE(gpus.has_value()) << gpus.error().message;
  ASSERT_EQ(gpus->gpus.size(), 2U);
  EXPECT_EQ(gpus->gpus[0].name, "NVIDIA T4");
  EXPECT_EQ(gpus->gpus[0].memory_bytes, 15'828'320'256);
  EXPECT_TRUE(gpus->gpus[0].has_kernels);
  EXPECT_FALSE(gpus->gpus[0].is_tested);
  EXPECT_FALSE(gpus->gpus[0].is_sampling_tested);
  EXPECT_TRUE(gpus->gpus[1].is_tested);
  EXPECT_TRUE(gpus->gpus[1].is_sampling_tested);
  EXPECT_EQ(gpus->gpus[0].untested_paths, "");
  EXPECT_EQ(gpus->gpus[1].untested_paths, "one-row,whole-step");
  EXPECT_EQ(gpus->driver, "13.0");
  EXPECT_EQ(gpus->kernels_for, "7.5, 9.0");
}

TEST(WorkerDoctor, AnAnswerThatIsNoneIsAnError) {
  for (const char* wrong : {"", "[]", "{}", R"({"gpus":7})", R"({"gpus":[7]})", "usage: dormouse-worker"}) {
    EXPECT_FALSE(parse_worker_gpus(wrong).has_value()) << wrong;
  }
  EXPECT_EQ(ask_worker("/no/such/worker", {}).error().code, Code::kNotFound);
  EXPECT_EQ(ask_worker("/bin/true", {}).error().code, Code::kInternal);
}

}  // namespace
}  // namespace dormouse::cli
