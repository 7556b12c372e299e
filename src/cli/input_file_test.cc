// Goal: a file that cannot be taken is a sentence that names its switch, and none takes all the memory. Method: real
// files in a fresh directory, and a device that never ends.
#include "cli/input_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace dormouse::cli {
namespace {

class InputFile : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(directory_); }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  const std::string directory_ = ::testing::TempDir() + "input_file_test";
};

TEST_F(InputFile, IsReadToTheByte) {
  std::string bytes(200'000, 'x');
  bytes[70'000] = '\0';
  std::ofstream(directory_ + "/t.csv", std::ios::binary) << bytes;
  EXPECT_EQ(read_input_file("--trace", directory_ + "/t.csv").value(), bytes);
  std::ofstream(directory_ + "/empty") << "";
  EXPECT_EQ(read_input_file("--trace", directory_ + "/empty").value(), "");
}

TEST_F(InputFile, WhatCannotBeReadSaysWhichAndWhy) {
  const Error missing = read_input_file("--trace", directory_ + "/none").error();
  EXPECT_EQ(missing.code, Code::kInvalidArgument);
  EXPECT_EQ(missing.message, "--trace: cannot read " + directory_ + "/none: No such file or directory");
  EXPECT_EQ(read_input_file("--prompts", directory_).error().message,
            "--prompts: cannot read " + directory_ + ": Is a directory");
}

TEST_F(InputFile, OneWithoutAnEndIsReadNoFurtherThanTheCap) {
  const Error endless = read_input_file("--trace", "/dev/zero").error();
  EXPECT_EQ(endless.code, Code::kInvalidArgument);
  EXPECT_EQ(endless.message, "--trace: /dev/zero has more than 256 MiB: is it the right file?");
}

}  // namespace
}  // namespace dormouse::cli
