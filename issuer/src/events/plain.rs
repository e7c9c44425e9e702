//! Text that cannot pass for something else.

/// The first `most` characters of `text` without those that end a line, move the cursor, or turn the direction of what
/// follows: the result is one line wherever it is printed, and reads in the order in which it is written.
pub fn plain(text: &str, most: usize) -> String {
    text.chars()
        .filter(|char| !disturbs(*char))
        .take(most)
        .collect()
}

fn disturbs(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            // Arabic letter mark, zero width to right-to-left mark, line and paragraph separator, embeddings and overrides,
            // isolates, byte order mark (UAX #9 §2, Unicode 16 §23).
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_disturbs_is_left_out_and_the_rest_stays() {
        let hostile = "a\r\nb\0c\u{1b}[2Jd\u{85}e\u{2028}f\u{202e}g\u{7f}\u{9b}h\u{feff}";
        assert_eq!(plain(hostile, 100), "abc[2Jdefgh");
        assert_eq!(
            plain("Mozilla/5.0 (é; ü) \u{1f600}", 100),
            "Mozilla/5.0 (é; ü) \u{1f600}"
        );
        assert_eq!(plain("ääää", 3), "äää", "characters, not bytes");
    }

    proptest! {
        #[test]
        fn it_is_one_line_of_at_most_so_many_and_stays_as_it_is(text in any::<String>(), most in 0usize..80) {
            let once = plain(&text, most);
            prop_assert!(once.chars().count() <= most);
            prop_assert!(once.lines().count() <= 1 && !once.chars().any(char::is_control));
            prop_assert_eq!(plain(&once, most), once);
        }
    }
}
