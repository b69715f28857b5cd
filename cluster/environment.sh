# shellcheck shell=bash
# What every node of the cluster, and whoever submits to it, must agree on. Sourced by
# launcher.yaml and slurm/balpoe.sbatch; no passwords here: they stand in ~/.pgpass (libpq).

# Where studies are kept: a directory that all nodes mount at this path, or s3://BUCKET/PREFIX.
# Keys for S3 stand in ~/.aws/credentials of every node, unless its role grants access.
export BALPOE_RUNS=/shared/balpoe/runs
# export AWS_REGION=eu-central-1 AWS_ENDPOINT_URL=  # the endpoint of another store than AWS's
# Which trials exist, and what they came to.
export BALPOE_STORAGE=postgresql://balpoe@db.example.org/balpoe
# The tracking server (mlflow/serve.sh).
export MLFLOW_TRACKING_URI=http://mlflow.example.org:5000

# The virtual environment with balpoe[cluster,postgres]; launcher.yaml makes this one.
export PATH=$HOME/balpoe-env/bin:$PATH

# Works unchanged from here. Ray asks for tokens only where every node and client says so.
export RAY_AUTH_MODE=token
