//! Validates the documents that the commands print against the schemas of docs/schema.

use crate::blame::Recorded;
use crate::live::Sleeper;
use crate::vmatlas::{Run, testdata, vmatlas, vmatlas_with_input};
use serde_json::Value;

/// A schema of docs/schema.
pub(crate) struct Schema(Value);

impl Schema {
    pub(crate) fn of(name: &str) -> Schema {
        let path = testdata().join(format!("../docs/schema/{name}.json"));
        Schema(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    }

    /// Validates a document. It is a small validator of its own, because one that knows all of the
    /// standard brings dozens of crates; it knows the keywords of these schemas and fails on
    /// others. A key that the schema does not list fails even where the schema allows further keys.
    #[track_caller]
    pub(crate) fn check(&self, document: &Value) {
        let faults = self.faults("", &self.0, document);
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    fn faults(&self, place: &str, schema: &Value, value: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        for (keyword, wanted) in schema.as_object().expect("a schema is an object") {
            let is_met = match keyword.as_str() {
                "$schema" | "$defs" | "title" | "description" | "format" => true,
                // Of `properties` below.
                "additionalProperties" if schema.get("properties").is_some() => true,
                "additionalProperties" => {
                    for (key, member) in value.as_object().into_iter().flatten() {
                        faults.extend(self.faults(&format!("{place}/{key}"), wanted, member));
                    }
                    true
                }
                "$ref" => {
                    let path = wanted.as_str().unwrap().trim_start_matches('#');
                    let target = self.0.pointer(path).expect("a definition");
                    faults.extend(self.faults(place, target, value));
                    true
                }
                "anyOf" => {
                    let mut all = wanted.as_array().unwrap().iter();
                    all.any(|one| self.faults(place, one, value).is_empty())
                }
                "type" => match wanted {
                    Value::Array(types) => types.iter().any(|one| is_of_type(value, one)),
                    one => is_of_type(value, one),
                },
                "const" => value == wanted,
                "minItems" => value
                    .as_array()
                    .is_none_or(|items| items.len() as u64 >= wanted.as_u64().unwrap()),
                "maxItems" => value
                    .as_array()
                    .is_none_or(|items| items.len() as u64 <= wanted.as_u64().unwrap()),
                "minimum" => value.as_f64().is_none_or(|number| number >= wanted.as_f64().unwrap()),
                "maximum" => value.as_f64().is_none_or(|number| number <= wanted.as_f64().unwrap()),
                "pattern" => {
                    assert_eq!(wanted, "^0x[0-9a-f]+$", "the only pattern");
                    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
                    let is_digit = |c: char| c.is_ascii_hexdigit() && !c.is_ascii_uppercase();
                    digits.is_some_and(|digits| !digits.is_empty() && digits.chars().all(is_digit))
                }
                "items" => {
                    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                        faults.extend(self.faults(&format!("{place}/{at}"), wanted, item));
                    }
                    true
                }
                "properties" => {
                    for (key, member) in value.as_object().into_iter().flatten() {
                        let place = format!("{place}/{key}");
                        match wanted.get(key) {
                            Some(schema) => faults.extend(self.faults(&place, schema, member)),
                            None => faults.push(format!("{place}: the schema has no such key")),
                        }
                    }
                    true
                }
                "required" => {
                    let mut keys = wanted.as_array().unwrap().iter();
                    keys.all(|key| value.get(key.as_str().unwrap()).is_some())
                }
                keyword => panic!("{place}: the validator does not know `{keyword}`"),
            };
            if !is_met {
                faults.push(format!("{place}: {keyword} {wanted} is not met by {value}"));
            }
        }
        faults
    }
}

fn is_of_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        name => panic!("the validator does not know the type {name}"),
    }
}

/// Runs a command with `--json`, and with `--numbers` too, and validates both documents.
#[track_caller]
fn valid(schema: &str, args: &[&str]) -> Value {
    let schema = Schema::of(schema);
    let document = vmatlas(&[args, &["--json"]].concat()).json();
    schema.check(&document);
    schema.check(&vmatlas(&[args, &["--json", "--numbers"]].concat()).json());
    document
}

#[test]
fn the_validator_finds_what_does_not_fit() {
    let schema = Schema::of("show");
    let good = vmatlas(&["-q", "captures/proc-pid-maps-manual.txt", "--json"]).json();
    schema.check(&good);
    let fails = |change: &dyn Fn(&mut Value)| {
        let mut bad = good.clone();
        change(&mut bad);
        !schema.faults("", &schema.0, &bad).is_empty()
    };
    assert!(fails(&|bad| bad["unknown"] = 1.into()));
    assert!(fails(&|bad| bad["mappings"][0]["unknown"] = 1.into()));
    assert!(fails(&|bad| bad["mappings"][0]["start"] = 1.into()));
    assert!(fails(&|bad| bad["target"]["pid"] = "1".into()));
    assert!(fails(&|bad| drop(bad.as_object_mut().unwrap().remove("totals"))));
    assert!(fails(&|bad| bad["schema"] = "vmatlas/0".into()));
}

#[test]
fn documents_of_a_process_fit_their_schemas() {
    let sleeper = Sleeper::start();
    let pid = sleeper.pid();
    let shown = valid("show", &["show", &pid, "--sizes", "--deep"]);
    let mapping = |name: &str| {
        let mut all = shown["mappings"].as_array().unwrap().iter();
        all.find(|mapping| mapping["name"] == name).unwrap().clone()
    };
    let stack = mapping("[stack]");
    assert_eq!(stack["label"]["group"], "thread stack");
    let sections = shown["mappings"][1]["sections"].as_array().unwrap();
    assert!(sections.iter().any(|section| section["name"] == ".text"), "{sections:?}");
    assert_eq!(shown["threads"][0]["tid"].to_string(), pid);
    let start = stack["start"].as_str().unwrap();
    let at =
        valid("at", &["at", &pid, start, "0x10", mapping("[vdso]")["start"].as_str().unwrap()]);
    assert_eq!(at["target"]["pid"].to_string(), pid);
    assert_eq!(at["addresses"][1]["mapped"], false);
    valid("access", &["access", &pid]);
    valid("explain", &["explain", &pid, "0x10"]);
    valid("diff", &["diff", &pid, "self"]);
    if crate::vmatlas::is_root() {
        valid("show", &["show", &pid, "--freeze"]);
    }
    let lines = vmatlas(&["show", &pid, "--sizes", "--ndjson", "--numbers"]);
    let schema = Schema::of("show-line");
    let lines: Vec<Value> =
        lines.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() > 5);
    for line in &lines {
        schema.check(line);
        assert_eq!((line["pid"].to_string(), &line["comm"]), (pid.clone(), &"sleep".into()));
        let start = line["start"].as_str().unwrap().trim_start_matches("0x");
        let number = u64::from_str_radix(start, 16).unwrap();
        assert_eq!(line["start_num"], number);
        assert!(line["time"].as_f64().unwrap() > 1.7e9);
    }
}

#[test]
fn documents_of_files_fit_their_schemas() {
    let folder = testdata().join("captures");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end != "truth") {
            valid("show", &["show", "-q", path.to_str().unwrap()]);
            files += 1;
        }
    }
    assert!(files > 10);
    let (zoo, other) =
        ("captures/zoo-x86_64-6.18.smaps", "captures/zoo-x86_64-6.12-anon-names.maps");
    let diff = valid("diff", &["diff", zoo, other]);
    assert!(!diff["changed"].as_array().unwrap().is_empty() || !diff["added"].is_null());
    let log = "strace/child.log";
    let shown = valid("show", &["show", log, "-q"]);
    assert!(shown["target"]["event"].as_u64().unwrap() > 0);
    assert!(shown["mappings"].to_string().contains("\"origin\":"));
    valid("blame", &["blame", log, "-q"]);
    valid("verify", &["verify", "--model-only", "scenarios/a-placement.scn"]);
}

#[test]
fn documents_of_crashes_fit_their_schema() {
    let mut crashes = 0;
    for entry in std::fs::read_dir(testdata().join("crashes")).unwrap() {
        let path = entry.unwrap().path();
        let run = vmatlas(&["explain", "-q", path.to_str().unwrap(), "--json"]);
        if run.status != 2 {
            Schema::of("explain").check(&run.json());
            crashes += 1;
        }
    }
    assert!(crashes > 20);
    let none = vmatlas_with_input(&["explain", "-", "--json"], b"nothing happened\n");
    Schema::of("explain").check(&none.json());
    assert!(none.json()["no_crash"].as_str().unwrap().starts_with("no crash"));
}

#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
#[test]
fn documents_of_a_recording_fit_their_schemas() {
    let recorded = Recorded::by(&[]);
    let file = recorded.file();
    let shown = valid("show", &["show", &file, "-q"]);
    assert!(shown["target"]["time_s"].as_f64().unwrap() > 0.0);
    let blame = valid("blame", &["blame", &file, "-q"]);
    let ranks = blame["ranking"].as_array().unwrap();
    let bytes = |list: &Value| -> u64 {
        list.as_array().unwrap().iter().map(|entry| entry["bytes"].as_u64().unwrap()).sum()
    };
    let origins = blame["mappings"].as_array().unwrap().iter().map(|row| bytes(&row["origins"]));
    assert_eq!(bytes(&blame["ranking"]), origins.sum::<u64>());
    assert!(ranks.iter().any(|rank| !rank["stack"].as_array().unwrap().is_empty()));
    let start = blame["mappings"][0]["start"].as_str().unwrap();
    let lives = valid("lives", &["blame", &file, start, "-q"]);
    assert!(!lives["addresses"][0]["life"].as_array().unwrap().is_empty());
    let list = valid("processes", &["show", &file, "--processes"]);
    assert_eq!(list["backend"], "ptrace");
    let diff = valid("diff", &["diff", "-q", &format!("{file}@#20"), &file]);
    assert!(diff["causes"].as_array().is_some_and(|causes| !causes.is_empty()), "{diff}");
}

#[track_caller]
fn error(run: &Run, kind: &str) -> Value {
    assert_eq!(run.status, 2, "{}", run.stderr);
    let document = run.json();
    Schema::of("error").check(&document);
    assert_eq!(document["error"]["kind"], kind);
    let message = document["error"]["message"].as_str().unwrap();
    assert_eq!(run.stderr.lines().last().unwrap(), format!("vmatlas: {message}"));
    document
}

#[test]
fn errors_are_documents_too() {
    error(&vmatlas(&["show", "/nonexistent", "--json"]), "not-found");
    error(&vmatlas(&["show", "/nonexistent", "--ndjson"]), "not-found");
    error(&vmatlas(&["4294967295", "--json"]), "gone");
    error(&vmatlas(&["at", "--json"]), "usage");
    error(&vmatlas(&["show", "self", "--json", "--no-such-option"]), "usage");
    error(&vmatlas_with_input(&["show", "-", "--json"], b"nothing\n"), "no-rows");
    error(&vmatlas(&["verify", "--json", "--random", "1", "--model-only"]), "usage");
    let held = tempfile::NamedTempFile::new().unwrap();
    let path = held.path().to_str().unwrap();
    // Without --json there is the line alone.
    assert!(vmatlas(&["show", path]).stdout.is_empty());
    // What the program that is recorded was given is not ours.
    let run = vmatlas(&["record", "-q", "-o", "/nonexistent/x", "--", "true", "--json"]);
    assert!(run.stdout.is_empty());
    // An answer that was printed already stands alone.
    let run = vmatlas(&["verify", "--json", "--model-only", "/nonexistent"]);
    assert_eq!(run.status, 2);
    Schema::of("verify").check(&run.json());
    assert!(run.json()["unread"][0].as_str().unwrap().starts_with("/nonexistent: "));
}

#[test]
fn the_examples_of_the_documentation_fit_their_schemas() {
    let text = std::fs::read_to_string(testdata().join("../docs/json.md")).unwrap();
    // The table names the schemas in the order of the sections.
    let names = text.lines().filter_map(|line| line.strip_suffix(".json) |"));
    let names = names.map(|line| line.rsplit('/').next().unwrap());
    let mut examples = text.split("```json\n").skip(1).map(|part| part.split("```").next());
    for name in names {
        let example: Value = serde_json::from_str(examples.next().flatten().unwrap()).unwrap();
        Schema::of(name).check(&example);
    }
    assert!(examples.next().is_none());
}
