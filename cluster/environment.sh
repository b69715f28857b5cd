# shellcheck shell=bash
# Settings that are the same on all nodes of the cluster and on clients that submit to it. Sourced
# by launcher.yaml and slurm/balpoe.sbatch. No passwords here: they are in ~/.pgpass (libpq).

# The directory of all studies, mounted at this path on all nodes, or s3://BUCKET/PREFIX. Keys for
# S3 are in ~/.aws/credentials of every node, unless its role grants access.
export BALPOE_RUNS=/shared/balpoe/runs
# export AWS_REGION=eu-central-1 AWS_ENDPOINT_URL=  # for a store other than AWS
# The database of trials.
export BALPOE_STORAGE=postgresql://balpoe@db.example.org/balpoe
# The tracking server (mlflow/serve.sh).
export MLFLOW_TRACKING_URI=http://mlflow.example.org:5000

# The virtual environment with balpoe[cluster,postgres]; launcher.yaml creates this one.
export PATH=$HOME/balpoe-env/bin:$PATH

# Works unchanged from here. Ray requires a token only if all nodes and clients set this.
export RAY_AUTH_MODE=token
