//! The little language of `circuitBreaker.expression` and `buffering.retryExpression`:
//! `NetworkErrorRatio() > 0.3 || !(ResponseCodeRatio(500, 600, 0, 600) < 0.25)`.

/// Characters of an expression: the longest in use have a hundred.
const LENGTH_LIMIT: usize = 1_000;
/// Parentheses and negations within each other.
const DEPTH_LIMIT: usize = 20;

/// What can be true or false.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
    /// A function that is true or false itself.
    Is(Call),
    Compare(Call, Comparison, Literal),
}

/// `Name(1, 2)`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) arguments: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    Unequal,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Number(f64),
    Text(String),
}

/// What a function gives.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Truth(bool),
    Number(f64),
    Text(&'a str),
}

/// A function that an expression may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) arguments: usize,
    pub(super) gives: Gives,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gives {
    Truth,
    Number,
    Text,
}

impl Expression {
    /// Reads `text`, which may use `functions`.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence's end.
    pub(super) fn parse(text: &str, functions: &[Function]) -> Result<Self, String> {
        if text.len() > LENGTH_LIMIT {
            return Err(format!("is longer than {LENGTH_LIMIT} characters"));
        }
        let mut parser = Parser { rest: text, functions };
        let expression = parser.any(0)?;
        match parser.peek() {
            "" => Ok(expression),
            rest => Err(format!("ends too late, at {}", crate::routers::quoted(rest))),
        }
    }

    /// What it says, given what functions give.
    pub(super) fn holds<'a>(&self, value_of: &impl Fn(&Call) -> Value<'a>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(value_of)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(value_of)),
            Self::Not(part) => !part.holds(value_of),
            Self::Is(call) => value_of(call) == Value::Truth(true),
            Self::Compare(call, comparison, literal) => match (value_of(call), literal) {
                (Value::Number(a), Literal::Number(b)) => comparison.holds(a.partial_cmp(b)),
                (Value::Text(a), Literal::Text(b)) => comparison.holds(Some(a.cmp(b.as_str()))),
                _ => false,
            },
        }
    }

    /// All calls in it.
    pub(super) fn calls(&self) -> Vec<&Call> {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::calls).collect(),
            Self::Not(part) => part.calls(),
            Self::Is(call) | Self::Compare(call, ..) => vec![call],
        }
    }
}

impl Comparison {
    fn holds(self, order: Option<std::cmp::Ordering>) -> bool {
        let Some(order) = order else { return false };
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::Unequal => order.is_ne(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    functions: &'a [Function],
}

impl<'a> Parser<'a> {
    fn peek(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        self.rest
    }

    fn eat(&mut self, token: &str) -> bool {
        match self.peek().strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn any(&mut self, depth: usize) -> Result<Expression, String> {
        let mut parts = vec![self.all(depth)?];
        while self.eat("||") {
            parts.push(self.all(depth)?);
        }
        Ok(single(parts, Expression::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Expression, String> {
        let mut parts = vec![self.one(depth)?];
        while self.eat("&&") {
            parts.push(self.one(depth)?);
        }
        Ok(single(parts, Expression::All))
    }

    fn one(&mut self, depth: usize) -> Result<Expression, String> {
        if depth > DEPTH_LIMIT {
            return Err("has too many parentheses within each other".to_owned());
        }
        if self.eat("(") {
            let inner = self.any(depth + 1)?;
            return if self.eat(")") { Ok(inner) } else { Err("lacks a closing parenthesis".to_owned()) };
        }
        if !self.peek().starts_with("!=") && self.eat("!") {
            return Ok(Expression::Not(Box::new(self.one(depth + 1)?)));
        }
        let (call, gives) = self.call()?;
        if gives == Gives::Truth {
            return Ok(Expression::Is(call));
        }
        let comparison = self.comparison().ok_or_else(|| format!("compares {}() with nothing", call.name))?;
        let literal = self.literal(&call.name, gives)?;
        Ok(Expression::Compare(call, comparison, literal))
    }

    fn call(&mut self) -> Result<(Call, Gives), String> {
        let text = self.peek();
        let length = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
        let name = &text[..length];
        let Some(function) = self.functions.iter().find(|function| function.name == name) else {
            let near = crate::routers::did_you_mean(name, self.functions.iter().map(|function| function.name));
            let known: Vec<_> = self.functions.iter().map(|function| function.name).collect();
            return Err(match name {
                "" => format!("lacks one of {} at {}", known.join(", "), crate::routers::quoted(text)),
                _ => format!("knows no {}{near}", crate::routers::quoted(name)),
            });
        };
        self.rest = &text[length..];
        if !self.eat("(") {
            return Err(format!("lacks () after {name}"));
        }
        let mut arguments = Vec::new();
        while !self.eat(")") {
            if !arguments.is_empty() && !self.eat(",") {
                return Err(format!("lacks a comma or a closing parenthesis in {name}(…)"));
            }
            arguments.push(self.number().ok_or_else(|| format!("has in {name}(…) what is no number"))?);
        }
        if arguments.len() != function.arguments {
            return Err(format!("gives {name} {} numbers; it takes {}", arguments.len(), function.arguments));
        }
        Ok((Call { name: name.to_owned(), arguments }, function.gives))
    }

    fn comparison(&mut self) -> Option<Comparison> {
        // Two characters before one: `<=` begins like `<`.
        const ALL: [(&str, Comparison); 6] = [
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("==", Comparison::Equal),
            ("!=", Comparison::Unequal),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        ALL.into_iter().find_map(|(token, comparison)| self.eat(token).then_some(comparison))
    }

    fn literal(&mut self, name: &str, gives: Gives) -> Result<Literal, String> {
        if gives == Gives::Number {
            return self
                .number()
                .map(Literal::Number)
                .ok_or_else(|| format!("compares {name}() with what is no number"));
        }
        let missing = || format!("compares {name}() with what is no text in quotes");
        let quote = ["\"", "`", "'"].into_iter().find(|quote| self.eat(quote)).ok_or_else(missing)?;
        let (text, rest) = self.rest.split_once(quote).ok_or_else(missing)?;
        self.rest = rest;
        Ok(Literal::Text(text.to_owned()))
    }

    fn number(&mut self) -> Option<f64> {
        let text = self.peek();
        let length = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let number = text[..length].parse().ok()?;
        self.rest = &text[length..];
        Some(number)
    }
}

fn single(mut parts: Vec<Expression>, many: impl Fn(Vec<Expression>) -> Expression) -> Expression {
    match parts.len() {
        1 => parts.remove(0),
        _ => many(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUNCTIONS: [Function; 3] = [
        Function { name: "Ratio", arguments: 2, gives: Gives::Number },
        Function { name: "IsBad", arguments: 0, gives: Gives::Truth },
        Function { name: "Method", arguments: 0, gives: Gives::Text },
    ];

    fn holds(text: &str) -> bool {
        Expression::parse(text, &FUNCTIONS).expect("an expression").holds(&|call| match call.name.as_str() {
            "Ratio" => Value::Number(call.arguments[0] / call.arguments[1]),
            "IsBad" => Value::Truth(true),
            _ => Value::Text("GET"),
        })
    }

    #[test]
    fn and_binds_more_than_or_and_not_most() {
        assert!(holds("IsBad() || IsBad() && !IsBad()"));
        assert!(!holds("(IsBad() || IsBad()) && !IsBad()"));
        assert!(holds("Ratio(1, 2) >= 0.5 && Ratio(1,2)<=0.5 && Ratio(1,2) == 0.5"));
        assert!(holds("!!(Ratio(1, 4) < 0.5) && Ratio(1,4) != 1 && !(Ratio(1,4)>0.25)"));
        assert!(holds("Method() == \"GET\" && Method() != `POST`"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let wrong = |text: &str| Expression::parse(text, &FUNCTIONS).expect_err("it is none");
        assert_eq!(wrong("Ratoi(1, 2) > 3"), "knows no Ratoi; did you mean Ratio?");
        assert_eq!(wrong("Ratio(1) > 3"), "gives Ratio 1 numbers; it takes 2");
        assert_eq!(wrong("Ratio(1, 2)"), "compares Ratio() with nothing");
        assert_eq!(wrong("Ratio(1, 2) > x"), "compares Ratio() with what is no number");
        assert_eq!(wrong("(IsBad()"), "lacks a closing parenthesis");
        assert_eq!(wrong("IsBad() IsBad()"), "ends too late, at IsBad()");
        assert_eq!(wrong(""), "lacks one of Ratio, IsBad, Method at ");
        assert_eq!(wrong(&"(".repeat(100)), "has too many parentheses within each other");
        assert!(wrong(&"!".repeat(5_000)).contains("longer"));
    }
}
