# What R's psych, GPArotation and polycor make of tests/golden/factor_data.csv; hofsteer's own routines are compared with it.
# Run outside of the tests (these packages are under the GPL and no dependency):
#     Rscript tools/factor_oracle.R tests/golden/factor_data.csv > tests/golden/factor_oracle.json
suppressPackageStartupMessages({library(psych); library(GPArotation); library(polycor); library(jsonlite)})
x <- read.csv(commandArgs(trailingOnly = TRUE)[1])
r <- cor(x)
poly <- diag(12)
for (i in 1:11) for (j in (i + 1):12) poly[i, j] <- poly[j, i] <- polychor(x[[i]], x[[j]], ML = FALSE)
minres <- fa(r, nfactors = 3, n.obs = 400, fm = "minres", rotate = "none")
unrotated <- unclass(minres$loadings)
set.seed(1)
oblique <- oblimin(unrotated, normalize = TRUE, eps = 1e-10, maxit = 100000)
pca <- principal(r, nfactors = 3, rotate = "none")
components <- unclass(pca$loadings)
turned <- varimax(components, normalize = TRUE, eps = 1e-14)
one <- x[, 1:4]
k <- KMO(r)
b <- cortest.bartlett(r, n = 400)
out <- list(
  versions = list(R = as.character(getRversion()), psych = as.character(packageVersion("psych")),
                  GPArotation = as.character(packageVersion("GPArotation")), polycor = as.character(packageVersion("polycor"))),
  pearson = r, polychoric = poly,
  minres = unrotated, minres_uniquenesses = as.numeric(minres$uniquenesses),
  minres_rmsr = minres$rms, minres_chi = minres$STATISTIC, minres_dof = minres$dof, minres_rmsea = as.numeric(minres$RMSEA[1]), minres_tli = minres$TLI,
  oblimin = unclass(oblique$loadings), oblimin_phi = oblique$Phi,
  components = components, varimax = unclass(turned$loadings),
  kmo = k$MSA, kmo_items = as.numeric(k$MSAi),
  bartlett_chi = b$chisq, bartlett_p = b$p.value,
  alpha = alpha(one)$total$raw_alpha,
  omega = omega(cor(one), nfactors = 1, plot = FALSE)$omega.tot,
  map = vss(r, n = 8, n.obs = 400, plot = FALSE)$map,
  determinacy = as.numeric(factor.scores(r, unclass(oblique$loadings), Phi = oblique$Phi, method = "Thurstone")$R2)
)
cat(toJSON(out, digits = 12, auto_unbox = TRUE, pretty = FALSE), "\n")
