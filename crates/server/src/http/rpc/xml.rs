//! Replies of the RPC-style APIs as XML.

use serde_json::Value;

/// An element for each member; a list becomes one element per item.
pub(super) fn push_xml(out: &mut String, name: &str, value: &Value) {
    if let Value::Array(items) = value {
        items.iter().for_each(|item| push_xml(out, name, item));
        return;
    }
    let mut element = |content: &mut dyn FnMut(&mut String)| {
        out.push('<');
        out.push_str(name);
        out.push('>');
        content(out);
        out.push_str("</");
        out.push_str(name);
        out.push('>');
    };
    match value {
        Value::Object(members) => element(&mut |out| {
            members.iter().for_each(|(name, value)| push_xml(out, name, value));
        }),
        Value::String(text) => element(&mut |out| push_escaped(out, text)),
        Value::Null => {}
        scalar => element(&mut |out| out.push_str(&scalar.to_string())),
    }
}

fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // Not characters of XML 1.0, not even as references.
            c if c < ' ' && !matches!(c, '\t' | '\n' | '\r') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn replies_become_xml() {
        let mut text = String::new();
        let value = json!({"A": "x<&>\u{1}", "L": {"I": [1, 2]}, "N": null, "T": true});
        push_xml(&mut text, "R", &value);
        assert_eq!(text, "<R><A>x&lt;&amp;&gt;\u{fffd}</A><L><I>1</I><I>2</I></L><T>true</T></R>");
    }
}
