# Standard errors of a weighted index by the R package survey, for tests/golden/survey_oracle.json.
# Run: Rscript tools/survey_oracle.R > tests/golden/survey_oracle.json
# The data are made here, so that the file holds everything that the test needs.
suppressMessages(library(survey))
options(survey.lonely.psu = "adjust")
set.seed(7)
n <- 120
d <- data.frame(
  stratum = rep(1:4, each = 30), cluster = rep(1:24, each = 5), weight = round(runif(n, 0.5, 3), 3)
)
d$a <- sample(1:5, n, replace = TRUE)
d$b <- pmin(5, pmax(1, d$a + sample(-1:1, n, replace = TRUE)))
d$c <- sample(1:5, n, replace = TRUE)
d$b[c(3, 40, 77)] <- NA
d$stratum[d$cluster == 24] <- 5 # a stratum with one cluster
d$oa <- 1; d$ob <- as.numeric(!is.na(d$b)); d$oc <- 1; d$bb <- ifelse(is.na(d$b), 0, d$b)
score <- c(a = 35, b = -25, c = 10)
# the index is a sum of ratios whose denominators differ where answers are missing
index <- function(design) {
  r <- svytotal(~ a + bb + c + oa + ob + oc, design)
  t <- as.numeric(coef(r)); V <- matrix(as.numeric(vcov(r)), 6)
  g <- c(score["a"] / t[4], score["b"] / t[5], score["c"] / t[6],
         -score["a"] * t[1] / t[4]^2, -score["b"] * t[2] / t[5]^2, -score["c"] * t[3] / t[6]^2)
  c(sum(score * t[1:3] / t[4:6]), sqrt(sum(g * (V %*% g))))
}
designs <- list(
  plain = svydesign(ids = ~1, data = d, weights = ~1),
  weighted = svydesign(ids = ~1, data = d, weights = ~weight),
  clustered = svydesign(ids = ~cluster, data = d, weights = ~weight),
  stratified = svydesign(ids = ~1, strata = ~stratum, data = d, weights = ~weight),
  both = svydesign(ids = ~cluster, strata = ~stratum, data = d, weights = ~weight, nest = TRUE)
)
vec <- function(x) paste0("[", paste(ifelse(is.na(x), "null", format(x, trim = TRUE, digits = 15)), collapse = ", "), "]")
rows <- sapply(names(designs), function(k) { r <- index(designs[[k]]); sprintf('    "%s": [%.12f, %.12f]', k, r[1], r[2]) })
cat("{\n", sprintf('  "survey": "%s",\n', packageVersion("survey")), '  "data": {\n',
    paste(sapply(c("stratum", "cluster", "weight", "a", "b", "c"), function(k) sprintf('    "%s": %s', k, vec(d[[k]]))), collapse = ",\n"),
    '\n  },\n  "index": {"a": 35, "b": -25, "c": 10},\n  "results": {\n', paste(rows, collapse = ",\n"), "\n  }\n}\n", sep = "")
