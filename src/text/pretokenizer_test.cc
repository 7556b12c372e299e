// Goal: pieces are those of the qwen2 expression. Method: tables worked out by hand from the expression, alternative by
// alternative; the goldens of tokenizer_test.cc come from Python's own engine.
#include "text/pretokenizer.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace dormouse::text {
namespace {

std::vector<std::string> pieces(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = next_piece_end(text, begin);
    out.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return out;
}

using Pieces = std::vector<std::string>;

TEST(Pretokenizer, ContractionsAreSplitInEitherCase) {
  EXPECT_EQ(pieces("I've he'S we'LL"), (Pieces{"I", "'ve", " he", "'S", " we", "'LL"}));
  EXPECT_EQ(pieces("'tis"), (Pieces{"'t", "is"}));
  EXPECT_EQ(pieces("'r"), (Pieces{"'r"}));  // not 're: the quote leads a word
  EXPECT_EQ(pieces("'"), (Pieces{"'"}));
  EXPECT_EQ(pieces("'\u017f"), (Pieces{"'\u017f"}));  // long s is no s, as in llama.cpp
}

TEST(Pretokenizer, OneCharacterThatIsNoNewlineLetterOrNumberMayLeadAWord) {
  EXPECT_EQ(pieces("a\tb"), (Pieces{"a", "\tb"}));
  EXPECT_EQ(pieces("(x)"), (Pieces{"(x", ")"}));
  EXPECT_EQ(pieces("月，日"), (Pieces{"月", "，日"}));
  EXPECT_EQ(pieces("a\nb"), (Pieces{"a", "\n", "b"}));
  EXPECT_EQ(pieces("1a"), (Pieces{"1", "a"}));
  EXPECT_EQ(pieces("\u3000a"), (Pieces{"\u3000a"}));
}

TEST(Pretokenizer, NumbersStandAlone) {
  EXPECT_EQ(pieces("123"), (Pieces{"1", "2", "3"}));
  EXPECT_EQ(pieces(" 1"), (Pieces{" ", "1"}));
  EXPECT_EQ(pieces("½Ⅷ"), (Pieces{"½", "Ⅷ"}));
}

TEST(Pretokenizer, PunctuationTakesOneBlankBeforeAndNewlinesBehind) {
  EXPECT_EQ(pieces(" ...\r\n\nx"), (Pieces{" ...\r\n\n", "x"}));
  EXPECT_EQ(pieces("a  !"), (Pieces{"a", " ", " !"}));
  EXPECT_EQ(pieces("\t!"), (Pieces{"\t", "!"}));  // only U+0020 goes with it
  EXPECT_EQ(pieces("e\u0301\u0301x"), (Pieces{"e", "\u0301\u0301", "x"}));
}

TEST(Pretokenizer, WhiteSpaceGivesItsLastCharacterToTheWordBehind) {
  EXPECT_EQ(pieces("a   b"), (Pieces{"a", "  ", " b"}));
  EXPECT_EQ(pieces("a   "), (Pieces{"a", "   "}));
  EXPECT_EQ(pieces("a   1"), (Pieces{"a", "  ", " ", "1"}));
  EXPECT_EQ(pieces("  \n \n  b"), (Pieces{"  \n \n", " ", " b"}));
  EXPECT_EQ(pieces("\u2028\u2028b"), (Pieces{"\u2028", "\u2028b"}));
  EXPECT_EQ(pieces("\u2003\u2003"), (Pieces{"\u2003\u2003"}));
  EXPECT_EQ(pieces("\x1c\x1c"), (Pieces{"\x1c\x1c"}));  // White_Space it is not
}

TEST(Pretokenizer, BytesThatAreNotUtf8CountAsPunctuation) {
  EXPECT_EQ(pieces("a\xff\xfe!b"), (Pieces{"a", "\xff\xfe!", "b"}));
  EXPECT_EQ(pieces("\xe4\xbd"), (Pieces{"\xe4\xbd"}));
  EXPECT_EQ(pieces("\xff"
                   "a"),
            (Pieces{"\xff"
                    "a"}));
}

TEST(Pretokenizer, PiecesTileAnyBytesAndPutTwoTogetherOnlyWhereTheyAre) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 2000; ++round) {
    std::string text(random() % 40, '\0');
    for (char& c : text) c = static_cast<char>(random());
    std::string joined;
    for (const std::string& piece : pieces(text)) {
      ASSERT_FALSE(piece.empty());
      joined += piece;
    }
    ASSERT_EQ(joined, text) << "seed 3 round " << round;
  }
}

}  // namespace
}  // namespace dormouse::text
