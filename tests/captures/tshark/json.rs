//! JSON as tshark writes it: names of an object repeat and their order counts.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    Tree(Vec<(String, Node)>),
    List(Vec<Node>),
}

/// What is not there.
pub(super) static EMPTY: Node = Node::Tree(Vec::new());

impl Node {
    /// Names and values; a list counts as so many values of one name.
    pub(super) fn items(&self) -> impl Iterator<Item = (&str, &Node)> {
        let tree = match self {
            Self::Tree(tree) => tree.as_slice(),
            _ => &[],
        };
        tree.iter().flat_map(|(name, node)| {
            let nodes = match node {
                Self::List(list) => list.as_slice(),
                node => std::slice::from_ref(node),
            };
            nodes.iter().map(move |node| (name.as_str(), node))
        })
    }

    pub(super) fn list(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            _ => &[],
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.items().find(|(known, _)| *known == name).map(|(_, node)| node)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("text, null, a list or an object")
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(EMPTY.clone())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = seq.next_element()? {
            list.push(node);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut tree = Vec::new();
        while let Some(item) = map.next_entry()? {
            tree.push(item);
        }
        Ok(Node::Tree(tree))
    }
}
