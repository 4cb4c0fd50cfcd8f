//! Numbers as they were written: exact in decimal until a type is asked for (0.1 × 207 is 20.7).

/// `mantissa × 10^exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    mantissa: i128,
    exponent: i32,
}

/// A decimal as a 64-bit integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Integer {
    Is(i64),
    /// It has a fraction.
    Fraction,
    /// Beyond 64 bits.
    Beyond,
}

/// More digits than any sensor has; a mantissa of 36 digits fits `i128` with room for a carry.
const MAX_DIGITS: usize = 36;
/// Powers of ten that an `f64` holds exactly.
const EXACT: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Whether `text` is a decimal number: digits with an optional sign, fraction and exponent. `inf` and `nan` are none.
pub(super) fn is_number(text: &str) -> bool {
    split(text).is_some()
}

/// The nearest `f64`, which may be infinite; `None` if `text` is no number.
pub(super) fn float(text: &str) -> Option<f64> {
    if is_number(text) { text.parse().ok() } else { None }
}

/// Sign, digits before the point, digits behind it, exponent.
fn split(text: &str) -> Option<(bool, &str, &str, &str)> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (number, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, "0"),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let power = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let good = digits(whole) && digits(fraction) && (!whole.is_empty() || !fraction.is_empty());
    (good && !power.is_empty() && digits(power)).then_some((negative, whole, fraction, exponent))
}

impl Decimal {
    /// Reads a number; `None` if it is none or has more than 36 significant digits.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, whole, fraction, exponent) = split(text)?;
        // An exponent beyond i32 stands for zero or for what no type holds; a million is as good.
        let mut exponent =
            exponent.parse::<i32>().unwrap_or(if exponent.starts_with('-') { -1_000_000 } else { 1_000_000 });
        exponent = exponent.clamp(-1_000_000, 1_000_000);
        let fraction = fraction.trim_end_matches('0');
        let significant = whole.trim_start_matches('0').len() + fraction.len();
        if significant > MAX_DIGITS {
            return None;
        }
        let mut mantissa = 0_i128;
        for digit in whole.bytes().chain(fraction.bytes()) {
            mantissa = mantissa * 10 + i128::from(digit - b'0');
        }
        exponent = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        Some(Self { mantissa: if negative { -mantissa } else { mantissa }, exponent })
    }

    /// The decimal that a float of the configuration was written as.
    pub fn of_float(number: f64) -> Option<Self> {
        Self::parse(&format!("{number:?}"))
    }

    pub fn times(self, other: Self) -> Option<Self> {
        Some(Self {
            mantissa: self.mantissa.checked_mul(other.mantissa)?,
            exponent: self.exponent.checked_add(other.exponent)?,
        })
    }

    pub fn plus(self, other: Self) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent);
        let mantissa = self.at(exponent)?.checked_add(other.at(exponent)?)?;
        Some(Self { mantissa, exponent })
    }

    /// The mantissa under a lower exponent.
    fn at(self, exponent: i32) -> Option<i128> {
        if self.mantissa == 0 {
            return Some(0);
        }
        let power = u32::try_from(self.exponent.checked_sub(exponent)?).ok()?;
        self.mantissa.checked_mul(10_i128.checked_pow(power)?)
    }

    /// The nearest `f64`; infinite if it is beyond the range.
    #[expect(clippy::cast_precision_loss, reason = "only where the mantissa has at most 53 bits")]
    pub fn to_f64(self) -> f64 {
        if self.mantissa.unsigned_abs() < 1 << 53 {
            let mantissa = self.mantissa as f64;
            // Both are exact, so one operation rounds once.
            match (usize::try_from(self.exponent), usize::try_from(-self.exponent)) {
                (Ok(power), _) if power < EXACT.len() => return mantissa * EXACT[power],
                (_, Ok(power)) if power < EXACT.len() => return mantissa / EXACT[power],
                _ => {}
            }
        }
        format!("{}e{}", self.mantissa, self.exponent).parse().expect("it is written as a float")
    }

    pub fn to_integer(self) -> Integer {
        let Self { mut mantissa, mut exponent } = self;
        if mantissa == 0 {
            return Integer::Is(0);
        }
        while exponent < 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            exponent += 1;
        }
        let Ok(power) = u32::try_from(exponent) else { return Integer::Fraction };
        let whole = 10_i128.checked_pow(power).and_then(|power| mantissa.checked_mul(power));
        whole.and_then(|whole| i64::try_from(whole).ok()).map_or(Integer::Beyond, Integer::Is)
    }

    /// `self × 10^power`, cut to a whole number; `None` if it is beyond 64 bits.
    pub fn cut(self, power: i32) -> Option<i64> {
        let exponent = self.exponent.checked_add(power)?;
        let whole = match u32::try_from(exponent) {
            Ok(power) => self.mantissa.checked_mul(10_i128.checked_pow(power)?)?,
            Err(_) => match 10_i128.checked_pow(exponent.unsigned_abs()) {
                Some(power) => self.mantissa / power,
                None => 0,
            },
        };
        i64::try_from(whole).ok()
    }

    /// Whether PostgreSQL's `numeric` holds the number `text`: 131,072 digits before the point, 16,383 behind it.
    pub fn is_numeric(text: &str) -> bool {
        let Some((_, whole, fraction, exponent)) = split(text) else { return false };
        let Ok(exponent) = exponent.parse::<i64>() else { return false };
        let len = |digits: &str| i64::try_from(digits.len()).unwrap_or(i64::MAX);
        len(whole) + exponent <= 131_072 && len(fraction) - exponent <= 16_383
    }

    /// Whether its amount is below `10^power`.
    pub fn is_below(self, power: i32) -> bool {
        self.mantissa == 0
            || i32::try_from(self.mantissa.unsigned_abs().ilog10())
                .is_ok_and(|log| log.saturating_add(self.exponent) < power)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn scaling_is_exact_in_decimal() {
        for (text, scale, offset, expected) in [
            ("207", 0.1, 0.0, 20.7_f64),
            ("3", 0.1, 0.0, 0.3),
            ("3655", 0.001, 0.0, 3.655),
            ("29815", 0.01, -273.15, 25.0),
            ("1e3", 0.001, 0.0, 1.0),
            ("-0.85", 10.0, 0.0, -8.5),
            ("123456789012345678", 1e-9, 0.0, 123_456_789.012_345_67),
        ] {
            let scaled = decimal(text).times(Decimal::of_float(scale).unwrap()).unwrap();
            let number = scaled.plus(Decimal::of_float(offset).unwrap()).unwrap().to_f64();
            assert_eq!(number.to_bits(), f64::to_bits(expected), "{text}: {number}");
        }
    }

    #[test]
    fn integers_are_exact_to_64_bits() {
        for (text, expected) in [
            ("9223372036854775807", Integer::Is(i64::MAX)),
            ("-9223372036854775808", Integer::Is(i64::MIN)),
            ("9223372036854775808", Integer::Beyond),
            ("3.0", Integer::Is(3)),
            ("1e3", Integer::Is(1000)),
            ("1200e-2", Integer::Is(12)),
            ("1.5", Integer::Fraction),
            ("1e-400", Integer::Fraction),
            ("1e400", Integer::Beyond),
            ("0e999999999999", Integer::Is(0)),
            ("-0", Integer::Is(0)),
        ] {
            assert_eq!(decimal(text).to_integer(), expected, "{text}");
        }
    }

    #[test]
    fn words_that_rust_reads_as_floats_are_no_numbers() {
        for text in
            ["", "-", ".", "e5", "1e", "inf", "NaN", "infinity", "0x10", "1_000", "1,5", "--1", "1e+-2", " 1", "1 "]
        {
            assert!(!is_number(text), "{text}");
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
        for text in ["0", "-1", "+1", "1.", ".5", "1e5", "1E-5", "007"] {
            assert!(is_number(text), "{text}");
        }
    }

    #[test]
    fn to_f64_agrees_with_the_standard_library() {
        for text in
            ["0.1", "1e22", "1e23", "123456789.123456789", "5e-324", "1.7976931348623157e308", "1e400", "-1e-400"]
        {
            assert_eq!(decimal(text).to_f64().to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
        }
    }
}
