//! What Grafana does to a query before PostgreSQL sees it, in its order: variables, intervals, macros.
//!
//! Not the whole of it: what our dashboards may use, and an error for the rest.

use std::collections::BTreeMap;

/// What a panel is asked with.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Range shown, RFC 3339 with `Z`.
    pub from: String,
    pub to: String,
    /// `$__interval`: a whole number and a unit.
    pub interval: String,
    /// `$__timezone`, which the browser knows.
    pub timezone: String,
    /// Values of the variables; All is every value.
    pub variables: BTreeMap<String, Vec<String>>,
}

impl Asked {
    /// The statement that arrives at the database.
    ///
    /// # Errors
    /// What Grafana would not expand, or would expand otherwise than meant.
    pub fn expand(&self, sql: &str) -> Result<String, String> {
        // Older syntax of variables, and what newer versions drop as comments.
        if let Some(odd) = ["[[", "--", "/*"].iter().find(|odd| sql.contains(**odd)) {
            return Err(format!("`{odd}` is not for PostgreSQL"));
        }
        let milliseconds = (1_000 * seconds(&self.interval)?).to_string();
        let sql = self.variables(sql)?.replace("$__timezone", &self.timezone);
        let sql = sql.replace("$__interval_ms", &milliseconds).replace("$__interval", &self.interval);
        self.macros(&sql)
    }

    /// `${name:sqlstring}`; any other form is an error, because it is quoted differently by version.
    fn variables(&self, sql: &str) -> Result<String, String> {
        let mut expanded = String::new();
        let mut rest = sql;
        while let Some((before, after)) = rest.split_once("${") {
            let (inner, after) = after.split_once('}').ok_or("`${` without `}`")?;
            if inner == "__timezone" {
                expanded.push_str(before);
                expanded.push_str("$__timezone");
                rest = after;
                continue;
            }
            let name = inner.strip_suffix(":sqlstring").ok_or(format!("`${{{inner}}}` is not `:sqlstring`"))?;
            let timezone = vec![self.timezone.clone()];
            let values = if name == "__timezone" { Some(&timezone) } else { self.variables.get(name) };
            let values = values.ok_or(format!("no variable `{name}`"))?;
            let quoted = values.iter().map(|value| format!("'{}'", value.replace('"', "\\\"").replace('\'', "''")));
            expanded.push_str(before);
            expanded.push_str(&quoted.collect::<Vec<_>>().join(","));
            rest = after;
        }
        expanded.push_str(rest);
        match self.variables.keys().find(|name| expanded.contains(&format!("${name}"))) {
            Some(name) => Err(format!("bare `${name}`")),
            None => Ok(expanded),
        }
    }

    /// `$name(arguments)`: no parenthesis and no comma inside an argument.
    fn macros(&self, sql: &str) -> Result<String, String> {
        let mut expanded = String::new();
        let mut rest = sql;
        while let Some((before, after)) = rest.split_once('$') {
            let (call, after) = after.split_once(')').ok_or("`$` without a call")?;
            let (name, arguments) = call.split_once('(').ok_or(format!("`${call}` is no call"))?;
            if arguments.contains('(') {
                return Err(format!("a parenthesis in an argument of `${name}`"));
            }
            let arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
            expanded.push_str(before);
            expanded.push_str(&self.call(name, &arguments, after)?);
            rest = after;
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    fn call(&self, name: &str, arguments: &[&str], after: &str) -> Result<String, String> {
        match (name, arguments) {
            ("__timeFilter", [column]) => Ok(format!("{column} BETWEEN '{}' AND '{}'", self.from, self.to)),
            ("__timeFrom", [""]) => Ok(format!("'{}'", self.from)),
            ("__timeTo", [""]) => Ok(format!("'{}'", self.to)),
            ("__timeGroupAlias", [column, interval] | [column, interval, _]) => {
                let seconds = seconds(interval)?;
                Ok(format!("floor(extract(epoch from {column})/{seconds})*{seconds} AS \"time\""))
            }
            ("__timeGroup", [column, interval] | [column, interval, _]) if !after.trim_start().starts_with(',') => {
                let seconds = seconds(interval)?;
                Ok(format!("floor(extract(epoch from {column})/{seconds})*{seconds}"))
            }
            ("__timeGroup", [..]) if after.trim_start().starts_with(',') => {
                Err("`$__timeGroup` before a comma acts as `$__timeGroupAlias`: write that".to_owned())
            }
            _ => Err(format!("`${name}({})` is not known here", arguments.join(","))),
        }
    }
}

/// `90s`, `5m`, `1h`, `2d` in seconds.
fn seconds(interval: &str) -> Result<u64, String> {
    let interval = interval.trim_matches('\'');
    let digits = interval.trim_end_matches(char::is_alphabetic);
    let number: u64 = digits.parse().map_err(|_| format!("`{interval}` is no interval"))?;
    let unit = match &interval[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(format!("`{interval}` has no unit that is known here")),
    };
    Ok(number * unit)
}

#[test]
fn queries_are_expanded_as_grafana_does() {
    let asked = Asked {
        from: "2026-11-25T00:00:00Z".to_owned(),
        to: "2026-11-26T00:00:00Z".to_owned(),
        interval: "5m".to_owned(),
        timezone: "Europe/Berlin".to_owned(),
        variables: BTreeMap::from([("room".to_owned(), vec!["o'b".to_owned(), "b".to_owned()])]),
    };
    for (sql, expanded) in [
        ("a = any (array[${room:sqlstring}]::text[])", Ok("a = any (array['o''b','b']::text[])")),
        ("$__timeFilter(t) and x", Ok("t BETWEEN '2026-11-25T00:00:00Z' AND '2026-11-26T00:00:00Z' and x")),
        (
            "select $__timeGroupAlias(t,$__interval,NULL), x",
            Ok("select floor(extract(epoch from t)/300)*300 AS \"time\", x"),
        ),
        ("$__timeGroup(t,'90s')", Ok("floor(extract(epoch from t)/90)*90")),
        ("$__timeGroup(t,90s), x", Err("`$__timeGroup` before a comma acts as `$__timeGroupAlias`: write that")),
        ("select $__interval_ms, '$__interval', '${__timezone}'", Ok("select 300000, '5m', 'Europe/Berlin'")),
        ("a in ($room)", Err("bare `$room`")),
        ("a in (${room:csv})", Err("`${room:csv}` is not `:sqlstring`")),
        ("${other:sqlstring}", Err("no variable `other`")),
        ("$__timeFilter(f(t))", Err("a parenthesis in an argument of `$__timeFilter`")),
        ("$__now()", Err("`$__now()` is not known here")),
        ("'$__interval_ms milliseconds'", Ok("'300000 milliseconds'")),
        ("date_trunc('day', t, ${__timezone:sqlstring})", Ok("date_trunc('day', t, 'Europe/Berlin')")),
        ("\"a--b\"", Err("`--` is not for PostgreSQL")),
        ("[[room]]", Err("`[[` is not for PostgreSQL")),
    ] {
        assert_eq!(asked.expand(sql).as_deref(), expanded.map_err(str::to_owned).as_ref().copied(), "{sql}");
    }
}
