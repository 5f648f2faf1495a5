//! Values survive serialisation and deserialisation.

use serde_test::{Configure as _, Token, assert_tokens};
use vmatlas_maps::{
    AddressRange, Device, KernelVersion, OwnedMapping, Perms, TextFormat, WordSize, parse_row,
};

fn rows() -> Vec<OwnedMapping> {
    [
        b"7fff00001000-7fff00002000 r-xp 00001000 fe:00 42 /usr/bin/cat".as_slice(),
        b"1000-2000 ---p 00000000 00:00 0",
        b"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]",
        b"1000-2000 rw-s ffffffffffffffff fff:fffff 18446744073709551615 /not\xffutf-8",
    ]
    .map(|row| parse_row(row).unwrap().into_owned())
    .to_vec()
}

#[test]
fn rows_are_the_same_in_json() {
    for row in rows() {
        let json = serde_json::to_string(&row).unwrap();
        assert_eq!(serde_json::to_string(&row.as_mapping()).unwrap(), json);
        assert_eq!(serde_json::from_str::<OwnedMapping>(&json).unwrap(), row, "{json}");
    }
    insta::assert_snapshot!(serde_json::to_string_pretty(&rows()[0]).unwrap());
}

#[test]
fn rows_are_the_same_in_a_format_for_machines() {
    assert_tokens(
        &rows().remove(3).compact(),
        &[
            Token::Struct { name: "OwnedMapping", len: 6 },
            Token::Str("range"),
            Token::Struct { name: "AddressRange", len: 2 },
            Token::Str("start"),
            Token::U64(0x1000),
            Token::Str("end"),
            Token::U64(0x2000),
            Token::StructEnd,
            Token::Str("perms"),
            Token::Bytes(b"rw-s"),
            Token::Str("offset"),
            Token::U64(u64::MAX),
            Token::Str("device"),
            Token::Tuple { len: 2 },
            Token::U32(0xfff),
            Token::U32(0xfffff),
            Token::TupleEnd,
            Token::Str("inode"),
            Token::U64(u64::MAX),
            Token::Str("name"),
            Token::Bytes(b"/not\xffutf-8"),
            Token::StructEnd,
        ],
    );
}

#[test]
fn other_values_are_the_same() {
    fn same<T>(value: &T) -> String
    where
        T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
    {
        let json = serde_json::to_string(value).unwrap();
        assert_eq!(serde_json::from_str::<T>(&json).unwrap(), *value, "{json}");
        json
    }
    assert_eq!(
        same(&AddressRange::new(0, u64::MAX)),
        r#"{"start":"0x0","end":"0xffffffffffffffff"}"#
    );
    assert_eq!(same(&Perms(*b"r-xp")), r#""r-xp""#);
    assert_eq!(same(&Perms([0xff, b'-', 0, b'p'])), "[255,45,0,112]");
    assert_eq!(same(&Device::new(0xfe, 0)), r#""fe:00""#);
    assert_eq!(same(&WordSize::Bits32), "32");
    assert_eq!(same(&KernelVersion::new(6, 18, 44)), r#""6.18.44""#);
    same(&TextFormat::of(KernelVersion::new(2, 4, 0), WordSize::Bits32));
}

#[test]
fn what_is_none_is_refused() {
    let refused = |json: &str| serde_json::from_str::<OwnedMapping>(json).unwrap_err().to_string();
    let row = |perms: &str, start: &str, device: &str| {
        format!(
            r#"{{"range":{{"start":{start},"end":"0x2000"}},"perms":"{perms}","offset":0,"device":"{device}","inode":0,"name":""}}"#
        )
    };
    assert!(serde_json::from_str::<OwnedMapping>(&row("r--p", "4096", "00:00")).is_ok());
    for (json, why) in [
        (row("r--p\\u001b", "1", "0:0"), "permissions are four characters, not `r--p\\x1b`"),
        (row("r--p", "\"0x+1\"", "0:0"), "invalid value: string \"0x+1\", expected an address"),
        (row("r--p", "-1", "0:0"), "expected an address"),
        (row("r--p", "\"0x2001\"", "0:0"), "the end of a range lies below its start"),
        (row("r--p", "1", "00"), "two hexadecimal numbers"),
        (row("r--p", "1", "100000000:0"), "two hexadecimal numbers"),
    ] {
        assert!(refused(&json).contains(why), "{json}: {}", refused(&json));
    }
}
