//! What earlier versions wrote is read, what later ones will write is refused.

use super::*;
use crate::half_life::DAY_MS;
use crate::header::USER_VERSION;

/// [`history`], as version 1 wrote it.
const VERSION_1: &str = "\
    0100000000000000000000006300000000f0e6a3fef962ff03130a0a0a0a0a0a0a0a1006b6f98fa2010101060101060101060101\
    0601010601010998d4821b010101010101010101010101010101010101010101010101010101f0c9e60101090cae054fcf51a57e\
    da4554a8aff1f689ecaecacea4eae02e992267882030d39cdc0b82cd52fc807ced2129c80899cf3765a4e47f81261f729bccbd4c\
    4128458a75f3e82dffede95554d8aa9710b434721accc865be2ccd647554ec63ff421610a00ca99e9674e0b526cfdf110a0e1d68\
    97b2dc8dda37b0e50a0421293cd14a60e0a2474dc5d1e4880e398d8968734b2c2358eb8bcd7ba8e96a016999ff51085098da0591\
    54b0e49a9f7538b871ff31402992d69d1515940f58b6a7025ad6645382894085aeb5a4f1a86200008383da9b2901018183da9b29\
    01020883da9b29018683da9b2901038483da9b2901048283da9b2901048083da9b2902038586ecd07b02028383da9b2902018183\
    da9b290200088392b552028683da9b2903058483da9b290306828392b55203078083da9b2903088586ecd07b0308838392b55204\
    07818392b55204060883da9b2904868392b5520409848392b55204008283da9b290401808392b55205028586a4eaa40105038383\
    92b5520504818392b5520504088392b55205868392b552060a848392b5520602828392b5520601808392b55206008586a4eaa401\
    0605838392b5520706818392b55207070883cace7b07868392b552070b848392b55207088283cace7b0707808392b55208068586\
    dc83ce010809838392b55208008183cace7b0801088392b552088683cace7b090a8483cace7b0903828392b55209048083cace7b\
    09048586dc83ce01090a8383cace7b0a028183cace7b0a010883cace7b0a8683cace7b0a098483cace7b0a058283cace7b0a0680\
    edaae0c7020b0980c8dc030b0180c8dc030b0b80c8dc030b0880c8dc030b0980c8dc030b0180c8dc030b0b80c8dc030b0880c8dc\
    030b090c0b030b84024002a0f20ea7025ad607077db23b4006c6e7d783246999ff510608826dfc3f08da9efc8f05d69d15150504\
    56cdaf3f04e0b2998707d69d1515010a433a5f4009b0ab16a7025ad60206bcfce13f06f8828ee40ed69d15150a02c165893f02fe\
    96abdb1038b871ff0408ae723b40058acfb2f71338b871ff03041368c53f049687ba931738b871ff00069a7f174006aee7fb9d1e\
    059154b009053d7657400300a7025ad60806219c1e400490b907a7025ad608ae054fcf51a57edaaecacea4eae02e99f3e82dffed\
    e955542267882030d39cdc2129c80899cf3765d8aa9710b434721accc865be2ccd647554ec63ff421610a040acbec3dd8c04fd22\
    b1104f39442475dfc99cad40af11bafa912f0ac19eee88bf62ceeb7b04bc0107473ab204f73be1ba138e62dba95bb7fa6c840046\
    07ebf222a39f81cf748145dc05af6c9059abfad982537894986f30ef5839090e6eba33b191331e9750d0df753d44ff98c09e0d42\
    be3340669bae3c27667aa960cb5babc44e3ae58f38166986e883d619dd86b6c1779eb4ef6f9c91aa74f7d1fca365db384446d8d5\
    5ab24d4f5b0375277a2eb8e2841aa781d5a4b2567320e890ce1dc4506a5fa9ac0a9065a4b24d93cedb1f4f346eebccd221517a3b\
    f64d5e86dbfd67c63797a75536d0c51c73f94d0c6c8cba2f4a912c30cbc886c9fbc769f5e17aa5ee";

/// A history with a bit of everything: more than the ring holds, returns months apart, hides, searches, impressions.
fn history() -> Vec<Event> {
    let mut events = Vec::new();
    for number in 0..90_u64 {
        let day = number.cast_signed() * number.cast_signed() / 60;
        let time_ms = NOON_MS - 140 * DAY_MS + day * DAY_MS + number.cast_signed() * 37_123;
        let kind = EventType::ALL[usize::try_from(number * 7 % 9).unwrap()];
        events.push(event(number, time_ms, number / 6, body(kind, number * number % 23)));
    }
    for number in 90..99_u64 {
        let time_ms = NOON_MS - (99 - number.cast_signed()) * 61_000;
        events.push(event(number, time_ms, 50, body(EventType::ItemViewed, number % 4)));
    }
    events
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn version_1_reads_as_the_history_it_was_made_of() {
    let old = UserState::decode(&bytes_of(VERSION_1)).unwrap();
    let (new, _) = run(&history());
    assert_eq!(old.position(), new.position());
    assert_eq!((old.newest_ms(), old.sessions()), (new.newest_ms(), new.sessions()));
    for kind in EventType::ALL {
        assert_eq!(old.lifetime(kind), new.lifetime(kind));
    }
    assert_eq!(old.windows(NOON_MS), new.windows(NOON_MS));
    assert_eq!((old.recent(), old.hidden()), (new.recent(), new.hidden()));
    let (old_top, new_top) = (old.top_items(NOON_MS), new.top_items(NOON_MS));
    assert_eq!((old_top.len(), new_top.len()), (12, 12));
    for (old, new) in old_top.iter().zip(&new_top) {
        assert!((old.weight / new.weight - 1.0).abs() < 1e-4, "{old:?} {new:?}");
        let weight = new.weight;
        assert_eq!(TopItem { weight, ..*old }, *new);
    }
}

#[test]
fn version_1_passes_for_the_state_it_was_written_of_and_for_no_other() {
    let (events, old) = (history(), bytes_of(VERSION_1));
    let (new, _) = run(&events);
    assert!(new.is_written_as(&old) && new.is_written_as(&new.encode()));
    assert_ne!(UserState::decode(&old).unwrap().encode(), new.encode(), "weights were rounded");
    let (mut other, _) = run(&events[..98]);
    assert!(!other.is_written_as(&old) && !other.is_written_as(&new.encode()));
    // The same but for one weight.
    other.clone_from(&new);
    other.top.0[0].weight = other.top.0[1].weight;
    assert!(!other.is_written_as(&old) && !other.is_written_as(&new.encode()));
    assert!(!new.is_written_as(&old[1..]) && !new.is_written_as(&[]));
}

#[test]
fn version_1_goes_on_as_todays() {
    let old = bytes_of(VERSION_1);
    let mut state = UserState::decode(&old).unwrap();
    let bytes = state.encode();
    assert_eq!((old[0], bytes[0]), (1, USER_VERSION));
    assert_eq!(old[1..crate::header::LEN], bytes[1..crate::header::LEN], "stores compare these");
    assert!(bytes.len() < old.len(), "{} bytes after {}", bytes.len(), old.len());
    assert_eq!(UserState::decode(&bytes).as_ref(), Ok(&state));
    // What it has seen is known, what is new is counted.
    let events = history();
    let again = state.apply(&events[98], NOON_MS, 500, &mut Vec::new());
    assert_eq!(again, Applied::Duplicate);
    let fresh = view(1_000, NOON_MS, 3);
    assert_eq!(state.apply(&fresh, NOON_MS, 500, &mut Vec::new()), Applied::Counted);
    assert_eq!(
        state.lifetime(EventType::ItemViewed),
        run(&events).0.lifetime(EventType::ItemViewed) + 1
    );
}

#[test]
fn damaged_bytes_of_version_1_are_refused() {
    let bytes = bytes_of(VERSION_1);
    assert_eq!(UserState::decode(&bytes[..bytes.len() - 1]), Err(DecodeError::Truncated));
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(UserState::decode(&longer), Err(DecodeError::Trailing(1)));
}

#[test]
fn a_newer_version_is_refused_and_says_so() {
    let mut bytes = run(&[view(1, NOON_MS, 1)]).0.encode();
    for found in [0, USER_VERSION + 1, 77] {
        bytes[0] = found;
        let error = UserState::decode(&bytes).unwrap_err();
        assert_eq!(error, DecodeError::Version { found, newest: USER_VERSION });
    }
    let expected = "version 77 of the encoding is not known, 2 is the newest that is: was it written by a newer \
                    program?";
    assert_eq!(UserState::decode(&bytes).unwrap_err().to_string(), expected);
    assert_eq!(UserState::decode(&[]), Err(DecodeError::Truncated));
}
