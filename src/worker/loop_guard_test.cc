// Goal: circles are noticed when they are long enough and not before; text that only resembles one is left alone.
// Method: sequences of known period, counted until the guard speaks.
#include "worker/loop_guard.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace dormouse::worker {
namespace {

// After how many of the tokens the guard speaks; 0: never.
std::size_t spoke_after(const std::vector<text::TokenId>& tokens) {
  LoopGuard guard;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (guard.is_circling(std::span(tokens).first(i), tokens[i])) return i + 1;
  }
  return 0;
}

std::vector<text::TokenId> circle(std::size_t period, std::size_t length) {
  std::vector<text::TokenId> out;
  for (std::size_t i = 0; i < length; ++i) out.push_back(static_cast<text::TokenId>(i % period));
  return out;
}

TEST(LoopGuard, ACircleIsNoticedAfterItsRoundsAndItsTokens) {
  EXPECT_EQ(spoke_after(circle(1, 2000)), 256U);
  EXPECT_EQ(spoke_after(circle(16, 2000)), 256U);
  EXPECT_EQ(spoke_after(circle(28, 2000)), 256U);
  EXPECT_EQ(spoke_after(circle(29, 2000)), 261U) << "nine rounds";
  EXPECT_EQ(spoke_after(circle(200, 2000)), 1800U);
  EXPECT_EQ(spoke_after(circle(256, 2304)), 2304U);
  EXPECT_EQ(spoke_after(circle(257, 5000)), 0U) << "longer circles are not looked for";
}

TEST(LoopGuard, WhatCameBeforeTheCircleDoesNotCount) {
  std::vector<text::TokenId> tokens = {7, 7, 7, 9, 8};
  for (const text::TokenId token : circle(20, 400)) tokens.push_back(100 + token);
  EXPECT_EQ(spoke_after(tokens), 5U + 256U);
}

TEST(LoopGuard, OneOtherTokenBeginsTheCountAgain) {
  std::vector<text::TokenId> tokens = circle(10, 250);
  tokens.push_back(99);
  EXPECT_EQ(spoke_after(tokens), 0U);
  for (const text::TokenId token : circle(10, 255)) tokens.push_back(token);
  EXPECT_EQ(spoke_after(tokens), 0U);
  // A list whose lines differ in one token only.
  std::vector<text::TokenId> list;
  for (text::TokenId line = 0; line < 200; ++line) {
    for (const text::TokenId token : {1, 2, 1000 + line, 3, 4, 5}) list.push_back(token);
  }
  EXPECT_EQ(spoke_after(list), 0U);
}

TEST(LoopGuard, RandomTextIsNoCircle) {
  std::mt19937_64 random(20261126);
  std::vector<text::TokenId> tokens;
  for (int i = 0; i < 20'000; ++i) tokens.push_back(static_cast<text::TokenId>(random() % 3));
  EXPECT_EQ(spoke_after(tokens), 0U);
}

TEST(LoopGuard, ForgetsWhenTold) {
  const std::vector<text::TokenId> tokens = circle(1, 600);
  LoopGuard guard;
  for (std::size_t i = 0; i < 250; ++i) ASSERT_FALSE(guard.is_circling(std::span(tokens).first(i), 0));
  guard.forget();
  // Sooner than 256: now every period has its whole first round behind it, 28 tokens being the longest that helps.
  for (std::size_t i = 250; i < 250 + 227; ++i) ASSERT_FALSE(guard.is_circling(std::span(tokens).first(i), 0));
  EXPECT_TRUE(guard.is_circling(std::span(tokens).first(477), 0));
}

}  // namespace
}  // namespace dormouse::worker
