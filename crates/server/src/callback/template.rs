//! The body of a callback: text with `${name}` in it.

use vodferry_oss::encode::encode_component;

/// A body whose variables are known but not filled in.
#[derive(Clone, Debug)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Variable(String),
}

/// What the variables of this server stand for, of one upload.
pub(crate) type Values = Vec<(&'static str, Value)>;

/// What one of them stands for.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Gets quotes in JSON.
    Text(String),
    /// Gets none.
    Number(u64),
}

impl Template {
    /// Takes a text apart.
    ///
    /// # Errors
    /// What is wrong with a `${…}`.
    pub(super) fn read(text: &str) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) =
                after.split_once('}').ok_or("callbackBody has a ${ that never ends.")?;
            let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b':' | b'.' | b'_' | b'-');
            if name.is_empty() || !name.bytes().all(fits) {
                return Err("callbackBody has a ${…} that is no variable.".to_owned());
            }
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Variable(name.to_owned()));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Template(pieces))
    }

    /// Whether a variable whose name begins so is in it.
    pub(super) fn wants(&self, beginning: &str) -> bool {
        let begins =
            |piece: &Piece| matches!(piece, Piece::Variable(name) if name.starts_with(beginning));
        self.0.iter().any(begins)
    }

    /// The body with everything filled in; what is unknown is empty.
    pub(super) fn fill(
        &self,
        json: bool,
        values: &Values,
        variables: &[(String, String)],
    ) -> String {
        let mut filled = String::new();
        for piece in &self.0 {
            let name = match piece {
                Piece::Text(text) => {
                    filled.push_str(text);
                    continue;
                }
                Piece::Variable(name) => name,
            };
            let own = values.iter().find(|(n, _)| n == name).map(|(_, value)| value);
            let given = || variables.iter().find(|(n, _)| n == name).map(|(_, value)| value);
            let text = match own {
                Some(Value::Number(number)) => {
                    filled.push_str(&number.to_string());
                    continue;
                }
                Some(Value::Text(text)) => text,
                None => given().map_or("", String::as_str),
            };
            match json {
                true => filled.push_str(&serde_json::Value::from(text).to_string()),
                false => filled.push_str(&encode_component(text)),
            }
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_break_out_of_their_place() {
        let values: Values =
            vec![("object", Value::Text("a\"&b=${size}".into())), ("size", Value::Number(7))];
        let variables =
            [("x:who".to_owned(), "我".to_owned()), ("object".to_owned(), "none".to_owned())];
        let form = Template::read("o=${object}&s=${size}&w=${x:who}&u=${vpcId}").unwrap();
        let filled = form.fill(false, &values, &variables);
        assert_eq!(filled, "o=a%22%26b%3D%24%7Bsize%7D&s=7&w=%E6%88%91&u=");
        let json = Template::read(r#"{"o":${object},"s":${size},"u":${x:none}}"#).unwrap();
        assert_eq!(json.fill(true, &values, &variables), r#"{"o":"a\"&b=${size}","s":7,"u":""}"#);
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for text in ["${", "a${}", "${a b}", "${a${b}}"] {
            assert!(Template::read(text).is_err(), "{text}");
        }
        assert!(Template::read("$5 {a}").is_ok());
    }

    #[test]
    fn what_is_wanted_is_known_beforehand() {
        let template = Template::read("imageInfo ${size} ${imageInfo.width}").unwrap();
        assert!(template.wants("imageInfo.") && template.wants("size"));
        assert!(!Template::read("imageInfo.width").unwrap().wants("imageInfo."));
    }
}
