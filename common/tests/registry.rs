//! Keeps `src/element/generated.rs` equal to what the registry file says.

use std::path::Path;

/// The registry's CSV as the source of the static table.
fn render(csv: &str) -> String {
    let mut out = String::from(
        "//! Generated from `registry/iana-ipfix.csv` by `tests/registry.rs`; do not edit.\n\n\
         use super::AbstractDataType as T;\nuse super::Semantics as S;\nuse super::{AbstractDataType, Element, Semantics};\n\n\
         const fn e(\n    id: u16,\n    name: &'static str,\n    data_type: AbstractDataType,\n    semantics: Semantics,\n    \
         units: &'static str,\n    is_deprecated: bool,\n) -> Element {\n    Element { id, name, data_type, semantics, units, is_deprecated }\n}\n\n",
    );
    let mut rows: Vec<Vec<&str>> = csv.lines().skip(1).map(|line| line.split(',').collect()).collect();
    rows.sort_by_key(|row| row[0].parse::<u16>().expect("element id"));
    out += &format!(
        "/// All elements of the registry, by number.\npub static ELEMENTS: [Element; {}] = [\n",
        rows.len()
    );
    for row in rows {
        let [id, name, data_type, semantics, units, status] = row[..] else {
            panic!("6 fields expected: {row:?}")
        };
        let semantics = if semantics.is_empty() { "None".into() } else { pascal(semantics) };
        let is_deprecated = status == "deprecated";
        let data_type = pascal(data_type);
        out +=
            &format!("    e({id}, {name:?}, T::{data_type}, S::{semantics}, {units:?}, {is_deprecated}),\n");
    }
    out.push_str("];\n");
    out
}

fn pascal(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

#[test]
fn generated_table_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fresh = render(&std::fs::read_to_string(root.join("registry/iana-ipfix.csv")).unwrap());
    let path = root.join("src/element/generated.rs");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &fresh).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(committed == fresh, "run `UPDATE_GENERATED=1 cargo test -p flow-common --test registry`");
}
