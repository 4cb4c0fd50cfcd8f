//! What Grafana makes of a query before PostgreSQL sees it: variables in the browser, then intervals and macros on the
//! server. Only what generated dashboards may use; the rest is an error.

use std::collections::BTreeMap;

/// What a panel is asked with.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Range shown, RFC 3339 with `Z`.
    pub from: String,
    pub to: String,
    pub interval_ms: u64,
    /// Values of the variables; All is every value.
    pub variables: BTreeMap<String, Vec<String>>,
}

impl Asked {
    /// The statement that arrives at the database.
    ///
    /// # Errors
    /// What Grafana would not expand, or would expand otherwise than meant.
    pub fn expand(&self, sql: &str) -> Result<String, String> {
        let mut expanded = String::new();
        let mut rest = sql;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            let (text, after) = self.one(after)?;
            expanded.push_str(&text);
            rest = after;
        }
        expanded.push_str(rest);
        // Older syntax of variables, and what newer versions drop as comments.
        match ["[[", "--", "/*"].iter().find(|odd| expanded.contains(**odd)) {
            Some(odd) => Err(format!("`{odd}` is not for PostgreSQL")),
            None => Ok(expanded),
        }
    }

    /// What stands for the text after a `$`, and what is left of it.
    fn one<'t>(&self, after: &'t str) -> Result<(String, &'t str), String> {
        if let Some(inner) = after.strip_prefix('{') {
            let (inner, rest) = inner.split_once('}').ok_or("`${` without `}`")?;
            let name = inner.strip_suffix(":sqlstring").ok_or(format!("`${{{inner}}}` is not `:sqlstring`"))?;
            let values = match name {
                "__timezone" => &vec!["Europe/Berlin".to_owned()],
                _ => self.variables.get(name).ok_or(format!("no variable `{name}`"))?,
            };
            let quoted = values.iter().map(|value| format!("'{}'", value.replace('"', "\\\"").replace('\'', "''")));
            return Ok((quoted.collect::<Vec<_>>().join(","), rest));
        }
        if let Some(rest) = after.strip_prefix("__interval_ms") {
            return Ok((self.interval_ms.to_string(), rest));
        }
        let (call, rest) = after.split_once(')').ok_or(format!("`$` without a call: {after}"))?;
        let (name, argument) = call.split_once('(').ok_or(format!("`${call}` is no call"))?;
        let text = match (name, argument) {
            ("__timeFrom", "") => format!("'{}'", self.from),
            ("__timeTo", "") => format!("'{}'", self.to),
            ("__timeFilter", column) if !column.is_empty() && !column.contains(['(', ',']) => {
                format!("{column} BETWEEN '{}' AND '{}'", self.from, self.to)
            }
            _ => return Err(format!("`${name}({argument})` is not known here")),
        };
        Ok((text, rest))
    }
}

#[test]
fn queries_are_expanded_as_grafana_does() {
    let asked = Asked {
        from: "2026-11-25T00:00:00Z".to_owned(),
        to: "2026-11-26T00:00:00Z".to_owned(),
        interval_ms: 60_000,
        variables: BTreeMap::from([("room".to_owned(), vec!["o'b".to_owned(), "b".to_owned()])]),
    };
    for (sql, expanded) in [
        ("a = any (array[${room:sqlstring}]::text[])", Ok("a = any (array['o''b','b']::text[])")),
        ("$__timeFilter(t) and x", Ok("t BETWEEN '2026-11-25T00:00:00Z' AND '2026-11-26T00:00:00Z' and x")),
        ("'$__interval_ms milliseconds'", Ok("'60000 milliseconds'")),
        ("date_trunc('day', t, ${__timezone:sqlstring})", Ok("date_trunc('day', t, 'Europe/Berlin')")),
        ("a in (${room:csv})", Err("`${room:csv}` is not `:sqlstring`")),
        ("${other:sqlstring}", Err("no variable `other`")),
        ("$__timeFilter(f(t))", Err("`$__timeFilter(f(t)` is not known here")),
        ("\"$__now()\"", Err("`$__now()` is not known here")),
        ("\"a--b\"", Err("`--` is not for PostgreSQL")),
    ] {
        assert_eq!(asked.expand(sql).as_deref(), expanded.map_err(str::to_owned).as_ref().copied(), "{sql}");
    }
}
