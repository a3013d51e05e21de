#include "words.h"

/* Whether a word is at a place of a text, as far as the text goes. */
typedef enum { NO, MAYBE, YES } Found;

static bool is_alphanumeric(char byte) {
  return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static char lower(char byte) { return byte >= 'A' && byte <= 'Z' ? (char)(byte | 32) : byte; }

static Found is_at(Span word, Span text, char before, bool is_last) {
  if (is_alphanumeric(*word.at) && is_alphanumeric(before))
    return NO;
  const char *at = text.at;
  for (const char *letter = word.at; letter < word.end; letter++, at++) {
    if (at == text.end)
      return is_last ? NO : MAYBE;
    if (lower(*letter) != lower(*at))
      return NO;
  }
  if (!is_alphanumeric(word.end[-1]))
    return YES;
  /* The letter that comes next says whether the word ends here. */
  if (at == text.end)
    return is_last ? YES : MAYBE;
  return is_alphanumeric(*at) ? NO : YES;
}

/* How long the longest word here is: 0 for none, -1 where that cannot be told yet. */
static ptrdiff_t find(const Words *words, Span text, char before, bool is_last) {
  ptrdiff_t longest = 0;
  for (size_t index = 0; index < words->count; index++) {
    Span word = span_of(&words->list[index]);
    Found found = is_at(word, text, before, is_last);
    if (found == MAYBE)
      return -1;
    if (found == YES && word.end - word.at > longest)
      longest = word.end - word.at;
  }
  return longest;
}

size_t words_filter(const Words *words, Passage *passage, Span piece, bool is_last, Buffer *out) {
  if (passage->blocked)
    return 0;
  Buffer whole = passage->held;
  passage->held = (Buffer){ 0 };
  add_span(&whole, piece);
  Span text = span_of(&whole);
  size_t hits = 0;
  while (text.at < text.end) {
    ptrdiff_t length = find(words, text, passage->before, is_last);
    if (length < 0)
      break;
    if (length == 0) {
      add(out, text.at, 1);
      length = 1;
    } else {
      hits++;
      passage->blocked = !words->replacement.at;
      if (passage->blocked)
        break;
      add_span(out, words->replacement);
    }
    text.at += length;
    passage->before = text.at[-1];
  }
  if (!passage->blocked)
    add_span(&passage->held, text);
  if (whole.failed)
    out->failed = true;
  clear(&whole);
  return hits;
}
