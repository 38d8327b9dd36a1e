//! Texts with one form per value: base64 and decimal numbers.

use base64::{Engine as _, prelude::BASE64_STANDARD};

/// Base64 with padding (RFC 4648, section 4).
pub(super) fn to_base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// The bytes, if the text is the one that [`to_base64`] makes of them: padded, and without stray bits at its end.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok().filter(|bytes| to_base64(bytes) == text)
}

/// The number, if the text has only its digits: no sign, no space, no leading zero.
pub(super) fn from_decimal(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_one_text() {
        assert_eq!(from_base64("AQI="), Some(vec![1, 2]));
        for other in ["AQJ=", "AQI", "AQI==", " AQI=", "AQI=\n", "AQI", "AQ-_", "AQI=AQI="] {
            assert_eq!(from_base64(other), None, "{other:?}");
        }
        assert_eq!(from_decimal("18446744073709551615"), Some(u64::MAX));
        assert_eq!(from_decimal("0"), Some(0));
        for other in ["", "00", "01", "+1", "-1", " 1", "1 ", "1_0", "18446744073709551616", "\u{663}", "0x1"]
        {
            assert_eq!(from_decimal(other), None, "{other:?}");
        }
    }
}
