//! Which instruction set this machine has, and the macro that picks a kernel by it.

/// What the machine can run, from the widest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// AVX-512 F, BW, VL and VNNI.
    Vnni,
    Avx2,
    Portable,
}

impl Level {
    /// The best level of this machine. Detection is cached by the standard library.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn best() -> Self {
        let has_avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl");
        if has_avx512 && is_x86_feature_detected!("avx512vnni") {
            Self::Vnni
        } else if is_x86_feature_detected!("avx2") {
            Self::Avx2
        } else {
            Self::Portable
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn best() -> Self {
        Self::Portable
    }

    /// Every level this machine has, for tests that compare them.
    #[cfg(test)]
    pub(crate) fn available() -> Vec<Self> {
        match Self::best() {
            Self::Vnni => vec![Self::Vnni, Self::Avx2, Self::Portable],
            Self::Avx2 => vec![Self::Avx2, Self::Portable],
            Self::Portable => vec![Self::Portable],
        }
    }
}

/// Compiles `$body` (an `#[inline(always)]` function) once per level as `$name(level, …)`.
///
/// `$level` must come from [`Level::best`] or [`Level::available`]: that is what makes the calls sound.
macro_rules! by_level {
    ($name:ident = $body:ident($($arg:ident: $kind:ty),*) $(-> $result:ty)?) => {
        fn $name(level: $crate::level::Level, $($arg: $kind),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
                fn wide($($arg: $kind),*) $(-> $result)? {
                    $body($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn middle($($arg: $kind),*) $(-> $result)? {
                    $body($($arg),*)
                }
                #[expect(unsafe_code, reason = "run-time dispatch")]
                match level {
                    // SAFETY: `Vnni` is only ever made after these features were detected on this machine.
                    $crate::level::Level::Vnni => unsafe { wide($($arg),*) },
                    // SAFETY: `Avx2` is only ever made after AVX2 was detected, or AVX-512, which includes it.
                    $crate::level::Level::Avx2 => unsafe { middle($($arg),*) },
                    $crate::level::Level::Portable => $body($($arg),*),
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            {
                debug_assert_eq!(level, $crate::level::Level::Portable);
                $body($($arg),*)
            }
        }
    };
}
pub(crate) use by_level;
