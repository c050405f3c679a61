//! Files of either form, plain and gzip, good rows and bad ones.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use upnext_common::event::EventBody;

use super::*;

const CSV: &str = "ts_ms,user_id,session_id,item_id,event_type,value\n\
    1000,u1,s1,a,view,\n\
    2000,,s2,\"b,\"\"c\",purchase,2.5\n\
    3000,u1,,a,dwell,700\n";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.0.path().join(name);
        let file = File::create(&path).unwrap();
        if name.ends_with(".gz") {
            GzEncoder::new(file, Compression::fast()).write_all(text.as_bytes()).unwrap();
        } else {
            (&file).write_all(text.as_bytes()).unwrap();
        }
        path
    }

    fn rows(&self, name: &str, text: &str) -> Vec<Result<Row, DatasetError>> {
        read_events(&self.write(name, text), &Words::default()).unwrap().collect()
    }
}

#[track_caller]
fn check_refused(csv_row: &str, expected: &str) {
    let text = format!("ts_ms,user_id,session_id,item_id,event_type,value\n{csv_row}\n");
    let rows = Folder::new().rows("events.csv", &text);
    let error = rows[0].as_ref().unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
    assert_eq!(error.fault(), Fault::CALLER);
}

#[test]
fn csv_rows_become_events() {
    let rows = Folder::new().rows("events.csv", CSV);
    let rows = rows.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(rows.iter().map(|row| row.record_ms).collect::<Vec<_>>(), [1000, 2000, 3000]);
    assert_eq!(rows[0].event.user_id.as_deref(), Some("u1"));
    assert_eq!(rows[0].event.anonymous_id, None);
    assert_eq!(rows[1].event.anonymous_id.as_deref(), Some("s2"));
    assert_eq!(rows[2].event.session_id, "u1");
    assert_eq!(
        rows[2].event.body,
        EventBody::ItemDwelled { item_id: "a".to_owned(), dwell_ms: 700 }
    );
    let EventBody::ItemPurchased { item_id, price_minor, quantity, .. } = &rows[1].event.body
    else {
        panic!("{:?}", rows[1].event.body);
    };
    assert_eq!((item_id.as_str(), *price_minor, *quantity), ("b,\"c", 250, 1));
}

#[test]
fn gzip_is_read_like_plain_text_and_ids_are_the_same_every_time() {
    let folder = Folder::new();
    let plain = folder.rows("events.csv", CSV).into_iter().map(Result::unwrap);
    let zipped = folder.rows("events.csv.gz", CSV).into_iter().map(Result::unwrap);
    let (plain, zipped) = (plain.collect::<Vec<_>>(), zipped.collect::<Vec<_>>());
    assert_eq!(plain, zipped);
    let twice = event_id("1,u,s,a,view", 2);
    assert_eq!(twice, event_id("1,u,s,a,view", 2));
    assert_ne!(twice, event_id("1,u,s,a,view", 3), "the same row again is another event");
    assert_eq!(Uuid::parse_str(&twice).unwrap().get_version_num(), 8);
}

#[test]
fn bad_rows_say_what_is_wrong() {
    check_refused("soon,u,s,a,view,", "line 2: ts_ms is not a number");
    check_refused("1,u,s,,view,", "item_id is empty");
    check_refused("1,,,a,view,", "neither user_id nor session_id");
    check_refused("1,u,s,a,view,much", "value is not a number");
    check_refused("1,u,s,a,bookmark,", "unknown event type \"bookmark\"");
    check_refused("1,u,s,a,shown,", "unknown event type \"shown\"");
}

#[test]
fn a_bad_row_does_not_end_the_file() {
    let text = format!("{CSV}x,u,s,a,view,\n4000,u,s,a,like,\n");
    let rows = Folder::new().rows("events.csv", &text);
    assert_eq!(rows.iter().filter(|row| row.is_ok()).count(), 4);
    assert_eq!(rows.len(), 5);
}

#[test]
fn unknown_words_are_listed_or_mapped() {
    let text = "ts_ms,user_id,session_id,item_id,event_type\n1,u,s,a,bookmark\n2,u,s,a,wish\n3,u,s,a,wish\n";
    let folder = Folder::new();
    let path = folder.write("events.csv", text);
    assert_eq!(unknown_words(&path, &Words::default()).unwrap(), ["bookmark", "wish"]);
    let words = Words::mapping(["bookmark=like", "wish=cart"]).unwrap();
    assert!(unknown_words(&path, &words).unwrap().is_empty());
    let first = read_events(&path, &words).unwrap().next().unwrap().unwrap();
    assert_eq!(first.event.body, EventBody::ItemLiked { item_id: "a".to_owned() });
    for bad in ["bookmark", "bookmark=adore", "x=shown"] {
        assert!(Words::mapping([bad]).unwrap_err().contains(bad));
    }
}

#[test]
fn a_file_that_is_not_ours_is_refused_at_once() {
    let folder = Folder::new();
    let header = read_events(&folder.write("a.csv", "time,item\n1,a\n"), &Words::default());
    let header = header.unwrap_err().to_string();
    assert!(header.contains("must name the columns"), "{header}");
    let missing = read_events(&folder.0.path().join("none.csv"), &Words::default());
    assert!(matches!(missing.unwrap_err(), DatasetError::Unreadable { .. }));
}

#[test]
fn a_gzip_file_that_was_cut_off_is_unreadable_from_there_on() {
    let folder = Folder::new();
    let path = folder.write("events.csv.gz", CSV);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 12]).unwrap();
    let rows = match read_events(&path, &Words::default()) {
        Ok(events) => events.collect::<Vec<_>>(),
        Err(error) => vec![Err(error)],
    };
    let last = rows.last().unwrap().as_ref().unwrap_err();
    assert!(matches!(last, DatasetError::Unreadable { .. }), "{last}");
}

#[test]
fn json_lines_are_the_events_of_http() {
    let text = "{\"type\":\"ItemClicked\",\"event_time\":5,\"user_id\":\"u\",\"session_id\":\"s\",\"item_id\":\"a\"}\n\
        {\"type\":\"ItemClicked\",\"user_id\":\"u\",\"item_id\":\"a\"}\n\
        {\"type\":\"ItemClicked\",\"event_time\":5,\"item_id\":\"a\"}\n\
        not json\n";
    let rows = Folder::new().rows("events.jsonl", text);
    let first = rows[0].as_ref().unwrap();
    assert_eq!(first.record_ms, 5);
    assert_eq!(first.event.body, EventBody::ItemClicked { item_id: "a".to_owned() });
    assert!(rows[1].as_ref().unwrap_err().to_string().contains("event_time is missing"));
    assert!(rows[2].as_ref().unwrap_err().to_string().contains("/user_id"));
    assert!(rows[3].is_err());
}

#[test]
fn items_take_whatever_their_fields_are_called() {
    let text = "{\"item_id\":\"a\",\"category\":\"tea\",\"price_usd\":28,\"colour\":\"navy blue\",\
        \"location\":4,\"is_new\":false,\"genres\":[\"x\",\"y\"],\"attributes\":{\"size\":\"L\"},\"note\":null}\n";
    let folder = Folder::new();
    let items = read_items(&folder.write("items.jsonl.gz", text)).unwrap();
    let item = &items[0];
    assert_eq!((item.category.as_deref(), item.price), (Some("tea"), Some(28.0)));
    let found = item.attributes.iter().map(|(name, value)| format!("{name}={value}"));
    let found = found.collect::<Vec<_>>();
    assert_eq!(found, ["colour=navy blue", "genres=x|y", "is_new=false", "location=4", "size=L"]);
    let error = read_items(&folder.write("bad.jsonl", "{\"title\":\"x\"}\n")).unwrap_err();
    assert!(error.to_string().contains("item_id is missing"), "{error}");
}
