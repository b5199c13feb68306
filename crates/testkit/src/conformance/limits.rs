//! Bounds of names and documents.

use vodferry_oss::Method;

use super::{Room, Verdict, in_order};

in_order! { "limits":
    keys_have_1023_bytes_at_most,
    keys_do_not_begin_with_a_slash,
    metadata_has_8_kib_at_most,
    a_document_has_2_mib_at_most,
    an_entity_of_xml_is_not_looked_up,
}

/// 1023 pass, 1024 are 400 InvalidObjectName.
pub async fn keys_have_1023_bytes_at_most(room: &Room) -> Verdict {
    let fill = |length: usize| "k".repeat(length - room.prefix().len());
    room.store(&fill(1023), b"x").await?;
    room.get(&fill(1023))?.send().await?.is(200)?.holds("x")?;
    room.put(&fill(1024))?.body("x").send().await?.refused(400, "InvalidObjectName")?;
    let begin = room.post(&fill(1024))?.query("uploads", "").send().await?;
    begin.refused(400, "InvalidObjectName").map(|_| ())
}

/// Nor with a backslash: 400 InvalidObjectName.
pub async fn keys_do_not_begin_with_a_slash(room: &Room) -> Verdict {
    for key in ["/k", "\\k"] {
        let put = room.at(Method::Put, room.bucket(), key)?.body("x").send().await?;
        put.refused(400, "InvalidObjectName")?;
    }
    Ok(())
}

/// 8 KiB of names and values together; more is 400.
pub async fn metadata_has_8_kib_at_most(room: &Room) -> Verdict {
    let put = |bytes: usize| {
        let (first, second) = ("v".repeat(bytes / 2), "v".repeat(bytes - bytes / 2));
        let put = room.put("k")?.header("x-oss-meta-a", first).header("x-oss-meta-b", second);
        Ok::<_, super::Failure>(put.body("x"))
    };
    put(7 * 1024)?.send().await?.is(200)?;
    put(9 * 1024)?.send().await?.is(400).map(|_| ())
}

/// A multi-delete of more is 400, and nothing else need be wrong with it.
pub async fn a_document_has_2_mib_at_most(room: &Room) -> Verdict {
    let padded = |bytes: usize| {
        let head = format!("<Delete><Object><Key>{}none</Key></Object>", room.prefix());
        let blanks = bytes - head.len() - "</Delete>".len();
        format!("{head}{}</Delete>", " ".repeat(blanks))
    };
    let ask = |bytes: usize| {
        let document = padded(bytes);
        Ok(room.on(Method::Post, room.bucket(), "delete")?.document(&document))
    };
    ask(2 << 20)?.send().await?.is(200)?;
    ask((2 << 20) + 1)?.send().await?.is(400).map(|_| ())
}

/// A document with a DOCTYPE is 400 MalformedXML; no entity of it is expanded.
pub async fn an_entity_of_xml_is_not_looked_up(room: &Room) -> Verdict {
    let document = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE d [<!ENTITY e SYSTEM \"file:///etc/hostname\">]>\
         <Delete><Object><Key>{}&e;</Key></Object></Delete>",
        room.prefix()
    );
    let asked = room.on(Method::Post, room.bucket(), "delete")?.document(&document);
    asked.send().await?.refused(400, "MalformedXML").map(|_| ())
}
